import type { ReactNode } from 'react';
import { Button, type ButtonProps, Tooltip, TooltipTrigger } from 'react-aria-components';

/** A button that is a picture: its name is read out, and shown on hover and focus. */
export function ToolButton({
  label,
  children,
  className = 'icon-button',
  ...props
}: Omit<ButtonProps, 'children' | 'className'> & {
  readonly label: string;
  readonly children: ReactNode;
  readonly className?: string;
}) {
  return (
    <TooltipTrigger delay={500} closeDelay={50}>
      <Button {...props} aria-label={label} className={className}>
        {children}
      </Button>
      <Tooltip className="tooltip" offset={6}>
        {label}
      </Tooltip>
    </TooltipTrigger>
  );
}
