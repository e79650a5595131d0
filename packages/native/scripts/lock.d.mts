/** Does `work` while this process holds the lock file, and returns its result. */
export declare function withLock<Result>(path: string, work: () => Result): Result;
