/** A model's answer as Markdown. It may hold anything: no HTML, no scripts, no pictures, which would tell others of it. */
import { Check, Copy } from 'lucide-react';
import { type ReactNode, isValidElement, memo, useRef, useState } from 'react';
import { Button } from 'react-aria-components';
import ReactMarkdown, { type Components } from 'react-markdown';
import rehypeSanitize, { defaultSchema } from 'rehype-sanitize';
import remarkGfm from 'remark-gfm';

const schema = {
  ...defaultSchema,
  tagNames: (defaultSchema.tagNames ?? []).filter((name) => name !== 'img' && name !== 'picture'),
};

const components: Components = {
  a: ({ href, children }) => (
    <a href={href} target="_blank" rel="noopener noreferrer nofollow">
      {children}
    </a>
  ),
  pre: ({ children }) => <CodeBlock>{children}</CodeBlock>,
  table: ({ children }) => (
    // A wide table scrolls by itself, also with the keyboard.
    <div className="table-scroll" tabIndex={0} role="group" aria-label="Table">
      <table>{children}</table>
    </div>
  ),
};

export const Markdown = memo(function Markdown({ text }: { readonly text: string }) {
  return (
    <ReactMarkdown
      remarkPlugins={[remarkGfm]}
      rehypePlugins={[[rehypeSanitize, schema]]}
      components={components}
    >
      {text}
    </ReactMarkdown>
  );
});

function CodeBlock({ children }: { readonly children?: ReactNode }) {
  const block = useRef<HTMLPreElement>(null);
  const [copied, setCopied] = useState(false);
  const copy = async (): Promise<void> => {
    try {
      await navigator.clipboard.writeText(block.current?.textContent ?? '');
    } catch {
      // Refused: the code is marked instead, to be copied by hand.
      if (block.current !== null) getSelection()?.selectAllChildren(block.current);
      return;
    }
    setCopied(true);
    setTimeout(() => {
      setCopied(false);
    }, 1500);
  };
  return (
    <div className="code-block">
      <div className="code-bar">
        <span>{languageOf(children)}</span>
        <Button
          className="icon-button"
          aria-label={copied ? 'Copied' : 'Copy code'}
          onPress={() => void copy()}
        >
          {copied ? <Check size={15} /> : <Copy size={15} />}
        </Button>
      </div>
      <pre ref={block} tabIndex={0}>
        {children}
      </pre>
    </div>
  );
}

/** What the model named its code by, if it did. */
function languageOf(children: ReactNode): string {
  if (!isValidElement<{ className?: string }>(children)) return '';
  return /\blanguage-(\S+)/.exec(children.props.className ?? '')?.[1] ?? '';
}
