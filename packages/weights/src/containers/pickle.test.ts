import { describe, expect, it } from 'vitest';
import { expectCode } from '../../test/expect-code.js';
import * as p from '../../test/writers/pickle.js';
import { limits } from './limits.js';
import { readPickle } from './pickle.js';
import { stateDictOf } from './state-dict.js';

const read = (...parts: readonly Uint8Array[]) => readPickle(p.pickle(2, ...parts), 'test');
const code = (...bytes: number[]) => Uint8Array.from(bytes);
const storage = p.join(
  p.tuple(
    p.text('storage'),
    p.global('torch', 'FloatStorage'),
    p.text('0'),
    p.text('cpu'),
    p.integer(4),
  ),
  p.persistentId,
);
const tensor = p.call(
  p.global('torch._utils', '_rebuild_tensor_v2'),
  storage,
  p.integer(0),
  p.tuple(p.integer(4)),
  p.tuple(p.integer(1)),
  p.truth(false),
  p.call(p.global('collections', 'OrderedDict')),
);
const dict = (...pairs: (readonly [Uint8Array, Uint8Array])[]) =>
  p.join(p.emptyDict, p.items(pairs));

describe('pickle', () => {
  it.each([
    ['0', p.integer(0), 0],
    ['255', p.integer(255), 255],
    ['65535', p.integer(65535), 65535],
    ['-1', p.integer(-1), -1],
    ['2^40', p.integer(2 ** 40), 2 ** 40],
    ['-2^40', p.integer(-(2 ** 40)), -(2 ** 40)],
    ['2^62', code(0x8a, 8, 0, 0, 0, 0, 0, 0, 0, 0x40), 2n ** 62n],
    ['an empty long', code(0x8a, 0), 0],
    ['0.1', p.float(0.1), 0.1],
    ['text', p.text('wörld'), 'wörld'],
    ['None', p.none, null],
    ['True', p.truth(true), true],
  ])('reads %s', (_, bytes, value) => {
    expect(read(bytes)).toEqual(value);
  });

  it('reads lists, tuples and dicts, and remembers', () => {
    expect(
      read(
        p.tuple(
          p.list(p.integer(1), p.integer(2)),
          p.tuple(),
          p.tuple(...[1, 2, 3, 4].map(p.integer)),
        ),
      ),
    ).toEqual({
      kind: 'tuple',
      items: [
        { kind: 'list', items: [1, 2] },
        { kind: 'tuple', items: [] },
        { kind: 'tuple', items: [1, 2, 3, 4] },
      ],
    });
    expect(read(p.text('a'), p.remember(7), p.recall(7), code(0x86))).toEqual({
      kind: 'tuple',
      items: ['a', 'a'],
    });
    expect(read(dict([p.text('k'), p.integer(1)]))).toEqual({
      kind: 'dict',
      entries: new Map([['k', 1]]),
    });
  });

  it('ignores the attributes that PyTorch gives a state dict', () => {
    const attributes = dict([p.text('_metadata'), p.call(p.global('collections', 'OrderedDict'))]);
    const ordered = p.call(p.global('collections', 'OrderedDict'));
    expect(read(ordered, p.items([[p.text('t'), tensor]]), attributes, p.build)).toMatchObject({
      kind: 'dict',
    });
  });
});

describe('pickles that ask for more', () => {
  it.each([
    ['os', 'system'],
    ['posix', 'system'],
    ['builtins', 'eval'],
    ['builtins', 'getattr'],
    ['torch', 'load'],
    ['torch.nn.modules.linear', 'Linear'],
    ['numpy.core.multiarray', 'scalar'],
    ['collections', 'OrderedDict.fromkeys'],
    ['__proto__', 'constructor'],
    ['torch', 'CudaStorage'],
  ])('refuses %s.%s', async (module, name) => {
    await expectCode(
      () => read(p.call(p.global(module, name), p.text('id'))),
      'PICKLE_REFUSED',
      /asks for/,
    );
    await expectCode(() => read(p.stackGlobal(module, name)), 'PICKLE_REFUSED', /asks for/);
  });

  const allowed = new Set([
    0x28, 0x29, 0x2e, 0x47, 0x4a, 0x4b, 0x4d, 0x4e, 0x51, 0x52, 0x58, 0x5d, 0x61, 0x62, 0x63, 0x65,
    0x68, 0x6a, 0x71, 0x72, 0x73, 0x74, 0x75, 0x7d, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8a, 0x8c, 0x93,
    0x94, 0x95,
  ]);
  it('refuses every other opcode', async () => {
    for (let opcode = 0; opcode < 256; opcode++) {
      if (allowed.has(opcode)) continue;
      await expectCode(() => read(p.integer(1), code(opcode)), 'PICKLE_REFUSED', /opcode/);
    }
  });

  it.each([
    ['calls of values', p.join(p.integer(1), p.tuple(), p.reduce)],
    ['calls of types', p.call(p.global('torch', 'FloatStorage'), p.integer(4))],
    [
      'attributes from a call',
      p.join(p.call(p.global('collections', 'OrderedDict')), p.tuple(p.none, p.none), p.build),
    ],
    ['a dict key that is a list', p.join(p.emptyDict, p.emptyList, p.none, p.setItem)],
    ['huge integers', code(0x8a, 255)],
    [
      'an OrderedDict filled by its constructor',
      p.call(p.global('collections', 'OrderedDict'), p.list()),
    ],
  ])('refuses %s', async (_, bytes) => {
    await expectCode(() => read(bytes), 'PICKLE_REFUSED');
  });

  it.each([0, 1, 6, 255])('refuses protocol %d', async (protocol) => {
    await expectCode(
      () => readPickle(p.pickle(protocol, p.none), 'test'),
      'PICKLE_REFUSED',
      /protocol/,
    );
  });
});

describe('broken pickles', () => {
  it.each([
    ['an empty stack', p.setItem],
    ['a missing mark', code(0x74)],
    ['reaching below a mark', p.join(p.integer(1), p.integer(2), p.mark, code(0x86))],
    ['an open mark', p.join(p.none, p.mark)],
    ['two values', p.join(p.none, p.none)],
    ['nothing', code()],
    ['a value never remembered', p.recall(3)],
    ['remembering nothing', p.remember(0)],
    ['an odd number of dict items', p.join(p.emptyDict, p.mark, p.none, p.setItems)],
    ['a key set twice', p.join(dict([p.text('a'), p.none]), p.items([[p.text('a'), p.none]]))],
    ['appending to a dict', p.join(p.emptyDict, p.none, p.append)],
    ['setting items of a list', p.join(p.emptyList, p.none, p.none, p.setItem)],
    ['text that is not UTF-8', code(0x58, 1, 0, 0, 0, 0xff)],
    ['text longer than the file', code(0x58, 0xff, 0xff, 0xff, 0xff)],
    ['a frame longer than the file', code(0x95, 0xff, 0, 0, 0, 0, 0, 0, 0)],
    ['a name without an end', code(0x63, 0x61)],
    ['a persistent id of another kind', p.join(p.tuple(p.text('module')), p.persistentId)],
    ['a tensor of nothing', p.call(p.global('torch._utils', '_rebuild_tensor_v2'))],
    [
      'a tensor of a tensor',
      p.call(
        p.global('torch._utils', '_rebuild_tensor_v2'),
        tensor,
        p.integer(0),
        p.tuple(),
        p.tuple(),
        p.truth(false),
        p.none,
      ),
    ],
    [
      'more sizes than strides',
      p.call(
        p.global('torch._utils', '_rebuild_tensor_v2'),
        storage,
        p.integer(0),
        p.tuple(p.integer(1)),
        p.tuple(),
        p.truth(false),
        p.none,
      ),
    ],
    [
      'a negative size',
      p.call(
        p.global('torch._utils', '_rebuild_tensor_v2'),
        storage,
        p.integer(0),
        p.tuple(p.integer(-1)),
        p.tuple(p.integer(1)),
        p.truth(false),
        p.none,
      ),
    ],
    [
      'a fractional offset',
      p.call(
        p.global('torch._utils', '_rebuild_tensor_v2'),
        storage,
        p.float(0.5),
        p.tuple(),
        p.tuple(),
        p.truth(false),
        p.none,
      ),
    ],
    ['a parameter of nothing', p.call(p.global('torch._utils', '_rebuild_parameter'))],
  ])('refuses %s', async (_, bytes) => {
    await expectCode(() => read(bytes), 'CONTAINER_INVALID');
  });

  it('keeps what is below a mark out of reach', async () => {
    const reaching = p.join(p.integer(1), p.integer(2), p.mark, code(0x86));
    await expectCode(() => read(reaching), 'CONTAINER_INVALID', /more from the stack/);
    await expectCode(
      () => read(p.emptyList, p.mark, p.append),
      'CONTAINER_INVALID',
      /more from the stack/,
    );
    await expectCode(() => read(p.none, p.mark, p.remember(0)), 'CONTAINER_INVALID', /not there/);
  });

  it('refuses bytes behind the end', async () => {
    await expectCode(
      () => readPickle(p.join(p.pickle(2, p.none), code(0)), 'test'),
      'CONTAINER_INVALID',
      /left over/,
    );
  });

  it('survives depth and cycles, and bounds what sharing multiplies', async () => {
    const deep = p.join(p.emptyTuple, new Uint8Array(500_000).fill(0x85));
    await expectCode(() => stateDictOf(read(deep), 'test'), 'CONTAINER_INVALID', /tuple/);
    const cyclic = p.join(p.emptyList, p.remember(0), p.recall(0), p.append);
    const loaded = stateDictOf(read(dict([p.text('loop'), cyclic], [p.text('t'), tensor])), 'test');
    expect([...loaded.tensors.keys()]).toEqual(['t']);
    expect(loaded.metadata.has('loop')).toBe(false);
    const hundred = (inner: Uint8Array, index: number) =>
      p.list(
        p.join(inner, p.remember(index)),
        ...Array.from({ length: 99 }, () => p.recall(index)),
      );
    const bomb = hundred(hundred(hundred(p.list(p.integer(1)), 1), 2), 3);
    expect(bomb.length).toBeLessThan(2000);
    const many = dict([p.text('t'), tensor], [p.text('bomb'), bomb]);
    await expectCode(() => stateDictOf(read(many), 'test'), 'PICKLE_REFUSED', /values beside/);
  });

  it('bounds the number of steps', async () => {
    const long = p.join(p.mark, new Uint8Array(limits.pickleSteps).fill(0x7d), code(0x74));
    await expectCode(() => read(long), 'PICKLE_REFUSED', /steps/);
  });

  it.each([
    ['a list', p.list(), /list/],
    ['no tensors', dict([p.text('epoch'), p.integer(1)]), /no tensors/],
    ['a tensor under a number', dict([p.integer(3), tensor]), /no name/],
  ])('refuses %s as a state dict', async (_, bytes, message) => {
    await expectCode(() => stateDictOf(read(bytes), 'test'), 'CONTAINER_INVALID', message);
  });
});
