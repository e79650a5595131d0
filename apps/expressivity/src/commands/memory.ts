import type { Command } from 'commander';
export function addMemory(_program: Command): void {}
