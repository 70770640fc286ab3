/** How many batches of a stream may be without an answer. Narrowed to one while a batch is looked for that breaks streams. */
export interface Window {
  /** Settles when there is room, in the order of the calls; call what it gives when the batch is answered. */
  enter(): Promise<(isOk: boolean) => void>;
  /** One at a time, until `batches` were answered well. */
  narrow(batches: number): void;
}

export function createWindow(batchesMax: number): Window {
  const waiting: (() => void)[] = [];
  let inside = 0;
  let suspects = 0;

  function letIn(): void {
    const room = suspects > 0 ? 1 : batchesMax;
    while (inside < room && waiting.length > 0) {
      inside++;
      waiting.shift()!();
    }
  }

  return {
    async enter() {
      await new Promise<void>((resolve) => {
        waiting.push(resolve);
        letIn();
      });
      return (isOk) => {
        inside--;
        if (isOk && suspects > 0) suspects--;
        letIn();
      };
    },
    narrow(batches) {
      suspects = batches;
    },
  };
}
