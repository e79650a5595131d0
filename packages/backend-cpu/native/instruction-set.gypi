# A static library compiled with the `flags` of its instruction set.
{
  'type': 'static_library',
  'cflags': ['<@(flags)'],
  'xcode_settings': { 'OTHER_CFLAGS': ['<@(flags)'] },
  # clang-cl does without what Windows turns off by default.
  'msvs_settings': { 'VCCLCompilerTool': { 'AdditionalOptions': ['<@(flags)', '-Wno-unknown-argument'] } },
}
