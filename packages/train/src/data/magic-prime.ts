/**
 * The number of windows that RWKV-LM's sampler walks over: the largest prime p = 3n + 2 that is at most `slots` − 1, where
 * `slots` is tokens ÷ context, rounded down. Modulo such a prime, cubing is a permutation (3 does not divide p − 1), and
 * RWKV-LM's training code asserts both. Source: RWKV-LM, RWKV-v5/make_data.py and src/dataset.py.
 * @returns undefined where there is none, which is with fewer than 3 slots
 * @throws TypeError for anything but a non-negative integer below 2^53
 */
export function magicPrime(slots: number): number | undefined {
  if (!Number.isSafeInteger(slots) || slots < 0)
    throw new TypeError(`magicPrime: slots is a non-negative integer, not ${slots}`);
  for (let candidate = slots - 1; candidate >= 2; candidate--)
    if (candidate % 3 === 2 && isPrime(candidate)) return candidate;
  return undefined;
}

/** Trial division: a billion slots take some 16 000 divisions for each of about ten candidates. */
export function isPrime(value: number): boolean {
  if (value < 4) return value > 1;
  if (value % 2 === 0 || value % 3 === 0) return false;
  for (let divisor = 5; divisor * divisor <= value; divisor += 6)
    if (value % divisor === 0 || value % (divisor + 2) === 0) return false;
  return true;
}
