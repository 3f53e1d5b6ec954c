/*
 * A backend without a CPU: tests script its exits and read what it was asked to do.
 */
#pragma once

#include "hv/virt.h"

enum { FAKE_EXITS = 64 };

struct fake_virt {
	struct vm_exit script[FAKE_EXITS]; /* exits that run() gives, in order */
	unsigned exits, next;
	void (*on_run)(struct vcpu *v); /* what the "guest" does before the next exit */
	struct vcpu_regs hardware;	/* what fetch gives */
	uint32_t fetched, written;	/* groups, since fake_virt_reset */
	unsigned runs, abandoned, flushes;
	struct event injected[FAKE_EXITS];
	unsigned injections;
	bool window[2];
	unsigned tpr_class;
};

extern struct fake_virt fake_virt;
extern const struct virt_ops fake_virt_ops;

/* Forgets everything and makes it the backend in use. */
void fake_virt_reset(void);
struct vm_exit *fake_virt_exit(enum exit_kind kind, unsigned insn_len);
