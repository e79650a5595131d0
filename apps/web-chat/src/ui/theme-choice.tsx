import { Moon, Sun, SunMoon } from 'lucide-react';
import { useEffect, useState } from 'react';
import { pageMemory } from '../store/memory.js';
import { ToolButton } from './tool-button.js';

type Theme = 'auto' | 'light' | 'dark';

const themes: readonly Theme[] = ['auto', 'light', 'dark'];
const labels = {
  auto: 'Theme: as the system',
  light: 'Theme: light',
  dark: 'Theme: dark',
} as const;
const key = 'rwkv-ts.theme';
const memory = pageMemory();

export function ThemeChoice() {
  const [theme, setTheme] = useState<Theme>(
    () => themes.find((one) => one === memory.getItem(key)) ?? 'auto',
  );
  useEffect(() => {
    memory.setItem(key, theme);
    if (theme === 'auto') document.documentElement.removeAttribute('data-theme');
    else document.documentElement.dataset['theme'] = theme;
  }, [theme]);
  return (
    <ToolButton
      label={labels[theme]}
      onPress={() => {
        setTheme(themes[(themes.indexOf(theme) + 1) % themes.length]!);
      }}
    >
      {theme === 'auto' ? (
        <SunMoon size={16} />
      ) : theme === 'light' ? (
        <Sun size={16} />
      ) : (
        <Moon size={16} />
      )}
    </ToolButton>
  );
}
