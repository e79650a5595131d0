import { createContext, useContext } from 'react';
import { useStore } from 'zustand';
import type { App } from '../store/app.js';
import type { AppState } from '../store/types.js';

export const AppContext = createContext<App | undefined>(undefined);

export function useApp(): App {
  const app = useContext(AppContext);
  if (app === undefined) throw new TypeError('useApp is used outside of AppContext');
  return app;
}

/** A part of the state; the component is drawn again when it changes. */
export function useAppState<Part>(select: (state: AppState) => Part): Part {
  return useStore(useApp().store, select);
}
