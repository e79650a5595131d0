import { TriangleAlert } from 'lucide-react';
import type { ReactNode } from 'react';
import type { Failure } from '../protocol/messages.js';

/** What went wrong and what to do; the error's own words are folded away. */
export function FailureCard({
  failure,
  children,
}: {
  readonly failure: Failure;
  readonly children?: ReactNode;
}) {
  return (
    <div className="failure" role="alert" data-code={failure.code}>
      <TriangleAlert size={18} aria-hidden />
      <div>
        <p className="failure-title">{failure.title}</p>
        <p>{failure.advice}</p>
        <details>
          <summary>Details</summary>
          <p className="failure-detail">
            {failure.code}: {failure.detail}
          </p>
        </details>
        {children !== undefined && <div className="button-row">{children}</div>}
      </div>
    </div>
  );
}
