// A browser that opens the page of the first argument, runs its scripts and stays for as long as standard input is open.
import { JSDOM, VirtualConsole } from "jsdom";

const console_ = new VirtualConsole();
console_.on("jsdomError", (error) => console.error(error.message));
console_.forwardTo(console);
await JSDOM.fromURL(process.argv[2], {
  runScripts: "dangerously",
  resources: "usable",
  pretendToBeVisual: true,
  virtualConsole: console_,
});
process.stdin.resume();
process.stdin.on("end", () => process.exit(0));
