/** Where models come from: a file, an address, this page. */
import { FileUp, Package } from 'lucide-react';
import { type SubmitEvent, useState } from 'react';
import { Button, FileTrigger, Input, Label, Text, TextField } from 'react-aria-components';
import type { LoadRequest } from '../protocol/messages.js';
import { useApp } from './app-context.js';
import { Panel } from './dialogs.js';

export const modelTypes = ['.pth', '.safetensors', '.gguf', '.bin', '.st', '.json'];

export function ChooseModel({
  open,
  onOpenChange,
}: {
  readonly open: boolean;
  readonly onOpenChange: (open: boolean) => void;
}) {
  const { models } = useApp();
  const [reference, setReference] = useState('');
  const [token, setToken] = useState('');
  const [sha256, setSha256] = useState('');
  const [hubUrl, setHubUrl] = useState('');
  const [vocabulary, setVocabulary] = useState<File>();
  const start = (source: LoadRequest['source']): void => {
    onOpenChange(false);
    // Asked after a click, as browsers want it: models are large, and should not be cleared away.
    if (source.kind === 'reference') void navigator.storage.persist();
    void models.load({ source, ...(vocabulary && { vocabulary }) });
  };
  const submit = (event: SubmitEvent): void => {
    event.preventDefault();
    const given = { token, sha256, hubUrl };
    const said = Object.entries(given).filter(([, value]) => value.trim() !== '');
    const options = Object.fromEntries(said.map(([name, value]) => [name, value.trim()]));
    if (reference.trim() !== '') {
      start({ kind: 'reference', reference: reference.trim(), ...options });
    }
  };
  return (
    <Panel title="Choose a model" open={open} onOpenChange={onOpenChange}>
      <form className="choose" onSubmit={submit}>
        <div className="big-buttons">
          <FileTrigger
            acceptedFileTypes={modelTypes}
            onSelect={(files) => {
              const file = files?.item(0);
              if (file) start({ kind: 'file', file });
            }}
          >
            <Button className="big-button">
              <FileUp size={20} aria-hidden />
              <strong>A file of yours</strong>
              <span>.pth, .safetensors, .gguf, .bin, .st. Read where it is, never uploaded.</span>
            </Button>
          </FileTrigger>
          <Button
            className="big-button"
            onPress={() => {
              start({ kind: 'bundled' });
            }}
          >
            <Package size={20} aria-hidden />
            <strong>The small model of this page</strong>
            <span>2 MB. Writes like the King James Bible, and means little by it.</span>
          </Button>
        </div>
        <TextField className="field" value={reference} onChange={setReference} type="text">
          <Label>From the Hugging Face hub, or a URL</Label>
          <Input
            className="input"
            placeholder="owner/repository:model.pth, or https://…"
            autoComplete="off"
            spellCheck="false"
            autoCapitalize="none"
          />
          <Text slot="description" className="hint">
            Downloaded once, checked, and kept in this browser; it then works offline. A download
            that was stopped goes on where it was.
          </Text>
        </TextField>
        <details className="more">
          <summary>More</summary>
          <TextField className="field" type="password" value={token} onChange={setToken}>
            <Label>Access token</Label>
            <Input className="input" placeholder="hf_…" autoComplete="off" />
            <Text slot="description" className="hint">
              For private and gated models. Sent to the hub only, and not kept.
            </Text>
          </TextField>
          <TextField className="field" value={sha256} onChange={setSha256}>
            <Label>SHA-256 of the file, for URLs</Label>
            <Input className="input" autoComplete="off" spellCheck="false" />
          </TextField>
          <TextField className="field" value={hubUrl} onChange={setHubUrl}>
            <Label>Address of another hub</Label>
            <Input className="input" placeholder="https://huggingface.co" autoComplete="off" />
          </TextField>
          <div className="field">
            <span className="label">Vocabulary</span>
            <FileTrigger
              acceptedFileTypes={['.txt', '.json', '.rwkvtok']}
              onSelect={(files) => {
                setVocabulary(files?.item(0) ?? undefined);
              }}
            >
              <Button className="button">{vocabulary?.name ?? 'Choose a vocabulary file'}</Button>
            </FileTrigger>
            <span className="hint">
              Without one, that of World models is fetched from the ChatRWKV repository when it is
              needed.
            </span>
          </div>
        </details>
        <div className="button-row end">
          <Button type="submit" className="button primary" isDisabled={reference.trim() === ''}>
            Load
          </Button>
        </div>
      </form>
    </Panel>
  );
}
