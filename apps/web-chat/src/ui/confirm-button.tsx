import { useEffect, useState } from 'react';
import { Button } from 'react-aria-components';

/** For what cannot be undone: pressed once it asks, pressed again it does it. */
export function ConfirmButton({
  label,
  isDisabled,
  onConfirm,
}: {
  readonly label: string;
  readonly isDisabled: boolean;
  readonly onConfirm: () => void;
}) {
  const [armed, setArmed] = useState(false);
  useEffect(() => {
    if (!armed) return;
    const timer = setTimeout(() => {
      setArmed(false);
    }, 5000);
    return () => {
      clearTimeout(timer);
    };
  }, [armed]);
  return (
    <Button
      className="button danger"
      isDisabled={isDisabled}
      onPress={() => {
        if (armed) onConfirm();
        setArmed(!armed);
      }}
    >
      {armed ? 'Press again to remove' : label}
    </Button>
  );
}
