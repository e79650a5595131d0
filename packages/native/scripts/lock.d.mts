/** Does `work`, which is not asynchronous, while this process holds the lock file; returns its result. */
export declare function withLock<Result>(path: string, work: () => Result): Result;
