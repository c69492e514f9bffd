#!/usr/bin/env node
// Check: a file of the task that is still JavaScript cannot be TypeScript. The reason becomes the task's note.

import { existsSync } from 'node:fs';
import path from 'node:path';

const files = (process.env.AGENTJOBS_FILES ?? '').split('\n');
const left = files.filter((name) => /\.[cm]?jsx?$/.test(name) && existsSync(path.join(process.cwd(), name)));
if (left.length > 0) {
  const { TOOLS_DIR, staysJavaScript } = await import('./project.mjs'); // reads the compiler, which most tasks do not need
  for (const name of left) {
    const reason = staysJavaScript(process.cwd(), process.env.AGENTJOBS_ROOT ?? path.dirname(TOOLS_DIR), name);
    console.log(reason === undefined ? `${name}(1,1): error: still JavaScript` : `agentjobs-note: stays JavaScript: ${name}: ${reason}`);
    if (reason === undefined) process.exitCode = 1;
  }
}
