import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { createApp } from './store/app.js';
import { AppContext } from './ui/app-context.js';
import { ChatApp } from './ui/chat-app.js';
import './styles/base.css';
import './styles/controls.css';
import './styles/layout.css';
import './styles/conversation.css';

const app = createApp();
void app.models.begin();
createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <AppContext value={app}>
      <ChatApp />
    </AppContext>
  </StrictMode>,
);
