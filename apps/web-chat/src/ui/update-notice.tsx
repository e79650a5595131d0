import { Button } from 'react-aria-components';
import { useRegisterSW } from 'virtual:pwa-register/react';

/** Keeps the page for offline use, and offers a newer one when there is one: never under a running conversation. */
export function UpdateNotice() {
  const {
    needRefresh: [needsRefresh],
    updateServiceWorker,
  } = useRegisterSW();
  if (!needsRefresh) return null;
  return (
    <div className="notice">
      <p>A newer version of this page is here.</p>
      <Button className="button" onPress={() => void updateServiceWorker(true)}>
        Use it
      </Button>
    </div>
  );
}
