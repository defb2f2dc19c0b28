// On paper: makes the evidence of the interval, saves it, and prints its SHA-256 beside the record.
const button = document.getElementById("make-evidence");
const told = document.getElementById("evidence-told");

button?.addEventListener("click", async () => {
  button.disabled = true;
  told.textContent = "The evidence is being made and verified …";
  try {
    const answer = await fetch(button.dataset.href);
    if (!answer.ok) {
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      told.textContent = `No evidence: ${page.querySelector("main .card")?.textContent.trim() ?? answer.status}`;
      return;
    }
    const name = answer.headers.get("content-disposition").match(/"(.+)"/)[1];
    const link = document.createElement("a");
    link.href = URL.createObjectURL(await answer.blob());
    link.download = name;
    link.click();
    told.textContent = `Evidence file ${name}, SHA-256 ${answer.headers.get("x-sha-256")}`;
  } catch {
    told.textContent = "The evidence could not be fetched.";
  } finally {
    button.disabled = false;
  }
});
