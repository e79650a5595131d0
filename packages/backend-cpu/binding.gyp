# The addon, and one static library for each instruction set, because flags are per target in gyp. Which kernels run is
# chosen when the addon is loaded (native/kernels/dispatch.cc). scripts/native-sources.mjs has the files and the flags.
{
  'target_defaults': {
    'cflags': ['<!@(node scripts/native-sources.mjs flags)'],
    'cflags_cc!': ['-std=gnu++17', '-std=gnu++20', '-std=gnu++23'],
    'cflags_cc': ['-std=c++17'],
    'xcode_settings': {
      'CLANG_CXX_LANGUAGE_STANDARD': 'c++17',
      'CLANG_CXX_LIBRARY': 'libc++',
      'GCC_ENABLE_CPP_RTTI': 'NO',
      'GCC_OPTIMIZATION_LEVEL': '3',
      'GCC_SYMBOLS_PRIVATE_EXTERN': 'YES',
      'MACOSX_DEPLOYMENT_TARGET': '11.0',
      'OTHER_CFLAGS': ['<!@(node scripts/native-sources.mjs flags)'],
    },
    'conditions': [
      ['OS=="win"', {
        # Microsoft's own compiler knows neither these flags nor the vector types the kernels use.
        'msbuild_toolset': 'ClangCL',
        'msvs_settings': {
          'VCCLCompilerTool': {
            'AdditionalOptions': ['/clang:-ffp-contract=off'],
          },
        },
      }],
    ],
    'configurations': {
      # The kernels' inner loops want the register more than a profiler wants the frame.
      'Release': { 'cflags!': ['-fno-omit-frame-pointer'] },
    },
  },
  'targets': [
    {
      'target_name': 'rwkv_cpu',
      'sources': ['<!@(node scripts/native-sources.mjs addon)'],
      'include_dirs': ['<!@(node -p "require(\'@rwkv-ts/native/gyp\').includeFolders")'],
      'defines': ['RWKV_CPU_VERSION="<!(node -p "require(\'./package.json\').version")"'],
      # The engine catches what the system's threads throw; Node-API's functions return their errors.
      'cflags!': ['-fno-exceptions'],
      'cflags_cc!': ['-fno-exceptions'],
      'cflags_cc': ['-fexceptions'],
      'xcode_settings': { 'GCC_ENABLE_CPP_EXCEPTIONS': 'YES' },
      'msvs_settings': { 'VCCLCompilerTool': { 'ExceptionHandling': 1 } },
      'defines!': ['_HAS_EXCEPTIONS=0'],
      'dependencies': ['rwkv_cpu_scalar'],
      'conditions': [
        ['OS=="linux"', {
          # Symbols are resolved when the addon is loaded: what is missing is then an error, not the end of the process.
          'ldflags': [
            '-Wl,--version-script=<!(node -p "require(\'@rwkv-ts/native/gyp\').exportsMap")',
            '-Wl,-z,now',
          ],
        }],
        ['target_arch=="x64"', {
          'dependencies': ['rwkv_cpu_avx2', 'rwkv_cpu_avxvnni', 'rwkv_cpu_avx512', 'rwkv_cpu_avx512bf16'],
        }],
        ['target_arch=="arm64"', {
          'dependencies': ['rwkv_cpu_neon', 'rwkv_cpu_neon_dotprod', 'rwkv_cpu_neon_i8mm'],
        }],
      ],
    },
    {
      'target_name': 'rwkv_cpu_scalar',
      'variables': { 'flags': ['<!@(node scripts/native-sources.mjs flags scalar)'] },
      'includes': ['native/instruction-set.gypi'],
      'sources': ['<!@(node scripts/native-sources.mjs source scalar)'],
    },
  ],
  'conditions': [
    ['target_arch=="x64"', {
      'targets': [
        {
          'target_name': 'rwkv_cpu_avx2',
          'variables': { 'flags': ['<!@(node scripts/native-sources.mjs flags avx2)'] },
          'includes': ['native/instruction-set.gypi'],
          'sources': ['<!@(node scripts/native-sources.mjs source avx2)'],
        },
        {
          'target_name': 'rwkv_cpu_avxvnni',
          'variables': { 'flags': ['<!@(node scripts/native-sources.mjs flags avxvnni)'] },
          'includes': ['native/instruction-set.gypi'],
          'sources': ['<!@(node scripts/native-sources.mjs source avxvnni)'],
        },
        {
          'target_name': 'rwkv_cpu_avx512',
          'variables': { 'flags': ['<!@(node scripts/native-sources.mjs flags avx512)'] },
          'includes': ['native/instruction-set.gypi'],
          'sources': ['<!@(node scripts/native-sources.mjs source avx512)'],
        },
        {
          'target_name': 'rwkv_cpu_avx512bf16',
          'variables': { 'flags': ['<!@(node scripts/native-sources.mjs flags avx512bf16)'] },
          'includes': ['native/instruction-set.gypi'],
          'sources': ['<!@(node scripts/native-sources.mjs source avx512bf16)'],
        },
      ],
    }],
    ['target_arch=="arm64"', {
      'targets': [
        {
          'target_name': 'rwkv_cpu_neon',
          'variables': { 'flags': ['<!@(node scripts/native-sources.mjs flags neon)'] },
          'includes': ['native/instruction-set.gypi'],
          'sources': ['<!@(node scripts/native-sources.mjs source neon)'],
        },
        {
          'target_name': 'rwkv_cpu_neon_dotprod',
          'variables': { 'flags': ['<!@(node scripts/native-sources.mjs flags neon-dotprod)'] },
          'includes': ['native/instruction-set.gypi'],
          'sources': ['<!@(node scripts/native-sources.mjs source neon-dotprod)'],
        },
        {
          'target_name': 'rwkv_cpu_neon_i8mm',
          'variables': { 'flags': ['<!@(node scripts/native-sources.mjs flags neon-i8mm)'] },
          'includes': ['native/instruction-set.gypi'],
          'sources': ['<!@(node scripts/native-sources.mjs source neon-i8mm)'],
        },
      ],
    }],
  ],
}
