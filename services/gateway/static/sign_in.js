// Asking for the gateway's token when it wants one, and giving the session back.

import * as api from "./api.js";
import { byId, showMessage } from "./dom.js";

export function offerSignIn() {
  const dialog = byId("sign-in");
  api.signedOut.addEventListener("needed", () => {
    if (!dialog.open) dialog.showModal();
  });
  dialog.addEventListener("cancel", (event) => event.preventDefault());
  byId("sign-in-form").addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      await api.signIn(byId("token").value);
      location.reload();
    } catch (error) {
      showMessage("sign-in-error", error.status === 401 ? "That is not the token." : error.message);
    }
  });
}

// `session` tells whether this browser has one.
export function offerSignOut(session) {
  const button = byId("sign-out");
  button.hidden = !session;
  button.onclick = async () => {
    try {
      await api.signOut();
      location.assign("/");
    } catch (error) {
      button.title = error.message;
    }
  };
}
