{
  'targets': [
    {
      'target_name': 'rwkv_test',
      'sources': ['addon.cc'],
      'include_dirs': ['<!@(node -p "require(\'@rwkv-ts/native/gyp\').includeFolders")'],
      'defines': ['VERSION="<!(node -p "require(\'./package.json\').version")"'],
      'cflags': ['-Wall', '-Wextra', '-fvisibility=hidden', '-fno-rtti'],
      'cflags!': ['-fno-exceptions'],
      'cflags_cc!': ['-fno-exceptions', '-std=gnu++17', '-std=gnu++20', '-std=gnu++23'],
      'cflags_cc': ['-std=c++17', '-fexceptions'],
      'xcode_settings': {
        'CLANG_CXX_LANGUAGE_STANDARD': 'c++17',
        'GCC_ENABLE_CPP_EXCEPTIONS': 'YES',
        'MACOSX_DEPLOYMENT_TARGET': '11.0',
      },
      'msvs_settings': { 'VCCLCompilerTool': { 'ExceptionHandling': 1 } },
      'defines!': ['_HAS_EXCEPTIONS=0'],
      'conditions': [
        ['OS=="win"', { 'msbuild_toolset': 'ClangCL' }],
        ['OS=="linux"', {
          'ldflags': [
            '-Wl,--version-script=<!(node -p "require(\'@rwkv-ts/native/gyp\').exportsMap")',
            '-Wl,-z,now',
          ],
        }],
      ],
    },
  ],
}
