# A static library compiled with the `flags` of its instruction set.
{
  'type': 'static_library',
  'cflags': ['<@(flags)'],
  'xcode_settings': { 'OTHER_CFLAGS': ['<@(flags)'] },
  'msvs_settings': { 'VCCLCompilerTool': { 'AdditionalOptions': ['<@(flags)'] } },
}
