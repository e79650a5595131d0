import { buildProgram } from '@rwkv-ts/model';
import { describe, expect, it } from 'vitest';
import { primitiveKinds, smallConfigs } from '../test/models.js';
import { lower } from './lower.js';
import { printProgram } from './print-program.js';

describe('printProgram', () => {
  it('prints one line per state and op, with shapes', () => {
    const program = buildProgram({ ...smallConfigs[0]!, layers: 1 });
    expect(printProgram(program)).toMatchInlineSnapshot(`
      "program: 24 weights, 3 states, 16 ops -> %18 [R, 23]
      state blocks.0.att.shift[12] = 0
      state blocks.0.att.wkv[3, 12] = [0,0,-1e+30]
      state blocks.0.ffn.shift[12] = 0
       0: %0 [T, 12] = embed table=emb.weight[23, 12] by=input
       1: %1 [T, 12] = norm x=%0 weight=blocks.0.ln0.weight[12] bias=blocks.0.ln0.bias[12] groups=1 eps=0.00001
       2: %2 [T, 12], %3 [T, 12], %4 [T, 12] = shift-mix x=%1 norm={weight=blocks.0.ln1.weight[12] bias=blocks.0.ln1.bias[12] groups=1 eps=0.00001} state=blocks.0.att.shift toward=current mixes=[{out=%2 by=blocks.0.att.time_mix_k[12]}, {out=%3 by=blocks.0.att.time_mix_v[12]}, {out=%4 by=blocks.0.att.time_mix_r[12]}]
       3: %5 [T, 12] = matmul x=%2 weight=blocks.0.att.key.weight[12, 12]
       4: %6 [T, 12] = matmul x=%3 weight=blocks.0.att.value.weight[12, 12]
       5: %7 [T, 12] = linear x=%4 weight=blocks.0.att.receptance.weight[12, 12] activation=sigmoid
       6: %8 [T, 12] = wkv4 k=%5 v=%6 decay=negative-exp(blocks.0.att.time_decay[12]) first=blocks.0.att.time_first[12] state=blocks.0.att.wkv
       7: %9 [T, 12] = mul x=%8 y=%7
       8: %10 [T, 12] = linear x=%9 weight=blocks.0.att.output.weight[12, 12] residual=%1
       9: %11 [T, 12], %12 [T, 12] = shift-mix x=%10 norm={weight=blocks.0.ln2.weight[12] bias=blocks.0.ln2.bias[12] groups=1 eps=0.00001} state=blocks.0.ffn.shift toward=current mixes=[{out=%11 by=blocks.0.ffn.time_mix_k[12]}, {out=%12 by=blocks.0.ffn.time_mix_r[12]}]
      10: %13 [T, 12] = linear x=%12 weight=blocks.0.ffn.receptance.weight[12, 12] activation=sigmoid
      11: %14 [T, 20] = linear x=%11 weight=blocks.0.ffn.key.weight[20, 12] activation=relu2
      12: %15 [T, 12] = linear x=%14 weight=blocks.0.ffn.value.weight[12, 20] gate=%13 residual=%10
      13: %16 [R, 12] = select-rows x=%15
      14: %17 [R, 12] = norm x=%16 weight=ln_out.weight[12] bias=ln_out.bias[12] groups=1 eps=0.00001
      15: %18 [R, 23] = matmul x=%17 weight=head.weight[23, 12]
      "
    `);
  });

  it.each(smallConfigs)('names every weight of v$version with its shape', (config) => {
    const program = buildProgram(config);
    for (const listing of [program, lower(program, primitiveKinds)].map(printProgram)) {
      for (const { name, shape } of program.weights) {
        expect(listing).toContain(`${name}[${shape.join(', ')}]`);
      }
      expect(listing).not.toContain('[object');
      expect(listing).not.toContain('undefined');
    }
  });
});
