// What the provider remembers: sessions, codes, grants, tokens. It outlasts a new configuration of the provider.

export class Memory {
  #all = new Map();

  // One of the adapters that oidc-provider asks for, by the name of a model.
  adapter = (model) => ({
    upsert: async (id, payload, lifetime) => {
      this.#all.set(`${model}:${id}`, { model, payload, until: lifetime ? Date.now() + lifetime * 1000 : Infinity });
    },
    find: async (id) => this.#alive(this.#all.get(`${model}:${id}`)),
    findByUid: async (uid) => this.of(model).find((payload) => payload.uid === uid),
    consume: async (id) => { this.#all.get(`${model}:${id}`).payload.consumed = Math.floor(Date.now() / 1000); },
    destroy: async (id) => { this.#all.delete(`${model}:${id}`); },
    revokeByGrantId: async (grant) => {
      for (const [key, { payload }] of this.#all) if (payload.grantId === grant) this.#all.delete(key);
    },
  });

  #alive(kept) {
    return kept && kept.until > Date.now() ? kept.payload : undefined;
  }

  of(model) {
    return [...this.#all.values()].filter((kept) => kept.model === model && this.#alive(kept)).map((kept) => kept.payload);
  }

  clear() {
    this.#all.clear();
  }
}
