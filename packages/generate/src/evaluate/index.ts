export { encodePair, type EncodedPair } from './encode-pair.js';
export {
  evaluateItems,
  type EvaluateItemsOptions,
  type EvaluationResult,
} from './evaluate-items.js';
export {
  type ChoiceItem,
  type ChoiceOption,
  type EvaluationItem,
  evaluationItem,
  type EvaluationKind,
  type LastWordItem,
  type TextItem,
} from './items.js';
export { evaluationReport, type ReportedTask } from './report.js';
export type { ChoiceSample, LastWordSample, Sample, TextSample } from './score.js';
export type { Metric } from './statistics.js';
