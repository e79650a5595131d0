import { SamplerError, checkRow, checkToken, invalidRow } from './errors.js';
import { exponentialOfMinus, exponentialTable, naturalLogarithm } from './exponential.js';

/**
 * ln softmax(logits)[token] in nats, summed in double precision with exponentials within 2 units in the last place;
 * for perplexity. `logits` [V] is not modified. -Infinity for a token whose logit is; `LOGITS_INVALID` for a row with
 * NaN or +Infinity or nothing else than -Infinity.
 */
export function logSoftmaxAt(logits: Float32Array | Float64Array, token: number): number {
  checkRow(logits, logits.length);
  if (logits.length === 0) {
    const message = 'expected a row of at least 1 logit, got 0';
    throw new SamplerError({ code: 'LOGITS_LENGTH', message, expected: 1, got: 0 });
  }
  checkToken(token, logits.length);
  let maximum = -Infinity;
  for (const logit of logits) {
    if (logit > maximum) maximum = logit;
    else if (logit !== logit) throw invalidRow(logits);
  }
  if (Math.abs(maximum) === Infinity) throw invalidRow(logits);
  const entries = exponentialTable();
  let sum = 0;
  // Neumaier's compensation: the error of the sum does not grow with the vocabulary.
  let lost = 0;
  for (const logit of logits) {
    const weight = exponentialOfMinus(maximum - logit, entries);
    const next = sum + weight;
    lost += sum >= weight ? sum - next + weight : weight - next + sum;
    sum = next;
  }
  return logits[token]! - maximum - naturalLogarithm(sum + lost);
}
