# The addon: plain C++, without a CUDA toolkit, since the driver's functions are found at run time.
{
  'targets': [
    {
      'target_name': 'rwkv_cuda',
      'sources': [
        'native/addon/addon.cc',
        'native/driver/library.cc',
        'native/engine/crossing.cc',
        'native/engine/device.cc',
        'native/engine/engine.cc',
      ],
      'include_dirs': ['native', '<!@(node -p "require(\'@rwkv-ts/native/gyp\').includeFolders")'],
      'defines': ['RWKV_CUDA_VERSION="<!(node -p "require(\'./package.json\').version")"'],
      # The engine says by an exception what the driver refused; Node-API's functions return their errors.
      'cflags!': ['-fno-exceptions'],
      'cflags_cc!': ['-fno-exceptions', '-std=gnu++17', '-std=gnu++20', '-std=gnu++23'],
      'cflags_cc': ['-std=c++17', '-fexceptions', '-fvisibility=hidden', '-Wall', '-Wextra'],
      'msvs_settings': { 'VCCLCompilerTool': { 'ExceptionHandling': 1 } },
      'defines!': ['_HAS_EXCEPTIONS=0'],
      'conditions': [
        ['OS=="linux"', {
          # Symbols are resolved when the addon is loaded: what is missing is then an error, not the end of the process.
          'ldflags': [
            '-Wl,--version-script=<!(node -p "require(\'@rwkv-ts/native/gyp\').exportsMap")',
            '-Wl,-z,now',
          ],
          'libraries': ['-ldl'],
        }],
      ],
    },
  ],
}
