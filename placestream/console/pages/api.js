// Talks to the console's own server: the token, and errors in words.

const KEPT = "placestream-token";

/** An answer that is an error: what is wrong, and what to do. */
export class Problem extends Error {
  constructor(status, { text, advice, faults = [] }) {
    super(text);
    this.status = status;
    this.advice = advice;
    this.faults = faults;
  }

  get words() {
    const faults = this.faults.map((fault) => ` ${fault.field} ${fault.text}.`).join("");
    return `${this.message}${faults} ${this.advice}`;
  }
}

const AWAY = {
  text: "The console's server does not answer.",
  advice: "Look whether `placestream console` still runs; this page tries again by itself.",
};

let token = "";
let askForToken = () => {};

/** Take the token (and the scene to show) out of the address, so that it is not seen or shared. */
export function readAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  token = given.get("token") ?? sessionStorage.getItem(KEPT) ?? "";
  if (given.has("token")) {
    sessionStorage.setItem(KEPT, token);
    given.delete("token");
    writeAddress(given);
  }
  return given;
}

export function writeAddress(scene) {
  const text = scene.toString();
  history.replaceState(null, "", text ? `#${text}` : location.pathname);
}

export function useToken(text) {
  token = text;
  sessionStorage.setItem(KEPT, text);
}

/** `ask` is called when the server wants another token. */
export function onTokenWanted(ask) {
  askForToken = ask;
}

/** An id that nobody else has. (`crypto.randomUUID` is not there over plain HTTP under a host name.) */
export function newId() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const read = async (path) => (await call(path, {})).said;

/** What is there, and its version: `{ said, tag }`. */
export const readTagged = (path) => call(path, {});

export async function send(path, body) {
  const options = {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  };
  return (await call(path, options)).said;
}

async function call(path, options) {
  const headers = { ...options.headers, Authorization: `Bearer ${token}` };
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Problem(0, AWAY);
  }
  const said = await response.json().catch(() => null);
  if (response.ok && said !== null) return { said, tag: response.headers.get("ETag") };
  const problem = new Problem(response.status, said?.error ?? AWAY);
  if (response.status === 401) askForToken(problem);
  throw problem;
}
