/** Hands bytes to the person as a file. */
export function saveBytes(bytes: Uint8Array<ArrayBuffer>, name: string): void {
  const url = URL.createObjectURL(new Blob([bytes], { type: 'application/octet-stream' }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  // The browser has taken the blob by then; a revoked URL would cut a slow save off.
  setTimeout(() => {
    URL.revokeObjectURL(url);
  }, 60_000);
}
