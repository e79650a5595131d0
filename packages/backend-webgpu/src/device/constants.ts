/** Flags of the WebGPU specification, which not every runtime has as globals. */
export const bufferUsage = {
  mapRead: 0x1,
  copySource: 0x4,
  copyDestination: 0x8,
  uniform: 0x40,
  storage: 0x80,
} as const;
export const mapModeRead = 0x1;
export const shaderStageCompute = 0x4;
/** Node parameters lie this far apart: a multiple of the default `minUniformBufferOffsetAlignment`, which no device exceeds. */
export const uniformBytes = 768;
