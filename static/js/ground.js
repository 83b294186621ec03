// Puts the chosen ground (bone or night) on the page before it is painted; a plain script, because modules come later.
try {
  const ground = localStorage.getItem("tessera-ground");
  if (ground) document.documentElement.dataset.ground = ground;
} catch { /* no storage: the system's own choice stays */ }
