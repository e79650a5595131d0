export * from './names.js';
import { createResolver } from './resolver.js';

/**
 * Opens the model file that a reference (see `parseReference`) names, for reading by ranges. Nothing is downloaded but
 * what is read.
 * @throws HubError all codes; WeightsError `SOURCE_FAILED`, `ABORTED`
 */
export const resolveModel = createResolver({});
