/** A conversation's whole memory as a picture: rows are layers, columns heads. */
import { type CSSProperties, type PointerEvent, useEffect, useRef, useState } from 'react';
import type { ModelInfo, StatePicture } from '../protocol/messages.js';
import { useAppState } from './app-context.js';
import { formatBytes } from '../format.js';
import { paintState, sizeOf, tileAt } from './paint-state.js';

export function StateView({ info }: { readonly info: ModelInfo }) {
  const picture = useAppState((state) => state.picture);
  return (
    <figure className="state-view">
      {picture === undefined ? (
        <p className="hint">The state appears here when something has been read.</p>
      ) : (
        <StateCanvas picture={picture} />
      )}
      <figcaption>
        Everything this conversation remembers: {formatBytes(info.stateBytes)}, however long it
        gets.
      </figcaption>
    </figure>
  );
}

function StateCanvas({ picture }: { readonly picture: StatePicture }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [pointed, setPointed] = useState<{ layer: number; head: number }>();
  useEffect(() => {
    if (canvas.current !== null) paintState(canvas.current, picture);
  }, [picture]);
  // The theme may change while the picture stands still.
  useEffect(() => {
    const repaint = (): void => {
      if (canvas.current !== null) paintState(canvas.current, picture);
    };
    const scheme = matchMedia('(prefers-color-scheme: dark)');
    const observer = new MutationObserver(repaint);
    observer.observe(document.documentElement, { attributeFilter: ['data-theme'] });
    scheme.addEventListener('change', repaint);
    return () => {
      observer.disconnect();
      scheme.removeEventListener('change', repaint);
    };
  }, [picture]);
  const { layers, heads, tile, strength } = picture;
  const size = sizeOf(picture);
  const point = (event: PointerEvent<HTMLCanvasElement>): void => {
    const box = event.currentTarget.getBoundingClientRect();
    const place = {
      x: (event.clientX - box.left) / box.width,
      y: (event.clientY - box.top) / box.height,
    };
    setPointed(tileAt(picture, place));
  };
  const strongest = indexOfLargest(strength);
  const told = pointed ?? { layer: Math.floor(strongest / heads), head: strongest % heads };
  const label = `Layer ${told.layer}, head ${told.head}`;
  const value = strength[told.layer * heads + told.head]!.toPrecision(3);
  return (
    <>
      <canvas
        ref={canvas}
        className="state-canvas"
        style={{ '--shape': size.width / size.height } as CSSProperties}
        role="img"
        aria-label={`State of ${layers} layers with ${heads} heads of ${tile} numbers. Strongest: layer ${Math.floor(strongest / heads)}, head ${strongest % heads}.`}
        onPointerMove={point}
        onPointerLeave={() => {
          setPointed(undefined);
        }}
      />
      <p className="state-readout">
        <span>{pointed === undefined ? `Strongest: ${label.toLowerCase()}` : label}</span>
        <span>
          {tile}, mean strength {value}
        </span>
      </p>
    </>
  );
}

function indexOfLargest(numbers: Float32Array): number {
  let best = 0;
  for (const [i, value] of numbers.entries()) if (value > numbers[best]!) best = i;
  return best;
}
