import type { ComponentChildren } from 'preact';
import type { ApiError } from '../api/transport';
import { common } from '../words/common';

/** What stands in for something that is not there: not yet, not at all, or since it failed. */
export function Missing({
  error = null,
  isLoading = false,
  onRetry,
  children,
}: {
  error?: ApiError | null;
  isLoading?: boolean;
  onRetry?: () => void;
  /** What is said where there is simply nothing. */
  children?: ComponentChildren;
}) {
  if (error) {
    const text =
      error.code === 'OFFLINE'
        ? common().offline
        : error.code === 'FORBIDDEN'
          ? common().forbidden
          : error.message;
    return (
      <div class="missing" role="alert">
        <p class="bad">{text}</p>
        {error.requestId ? <p class="faint small">{common().requestId(error.requestId)}</p> : null}
        {onRetry ? (
          <button type="button" class="button" onClick={onRetry}>
            {common().retry}
          </button>
        ) : null}
      </div>
    );
  }
  return <div class="missing soft">{isLoading ? common().loading : (children ?? common().nothing)}</div>;
}
