/*
 * See fake_virt.h.
 */
#include "tests/fake/fake_virt.h"
#include <string.h>

struct fake_virt fake_virt;

void fake_virt_reset(void)
{
	memset(&fake_virt, 0, sizeof(fake_virt));
	virt = &fake_virt_ops;
}

struct vm_exit *fake_virt_exit(enum exit_kind kind, unsigned insn_len)
{
	struct vm_exit *x = &fake_virt.script[fake_virt.exits++];

	*x = (struct vm_exit){.kind = kind, .insn_len = (uint8_t)insn_len};
	return x;
}

static bool probe(void)
{
	return true;
}

static bool cpu_enable(struct refusal *r)
{
	(void)r;
	return true;
}

static bool vcpu_create(struct vcpu *v, struct refusal *r)
{
	(void)v;
	(void)r;
	return true;
}

static void reset(struct vcpu *v, bool init)
{
	(void)init;
	fake_virt.window[0] = fake_virt.window[1] = false;
	(void)v;
}

static void write_back(struct vcpu *v)
{
	uint64_t gpr[16];

	memcpy(gpr, v->regs.gpr, sizeof(gpr));
	if (v->dirty) {
		fake_virt.hardware = v->regs;
	}
	memcpy(fake_virt.hardware.gpr, gpr, sizeof(gpr));
	fake_virt.written |= v->dirty;
	v->dirty = 0;
}

static void run(struct vcpu *v, struct vm_exit *exit)
{
	if (v->request) {
		fake_virt.abandoned++;
		*exit = (struct vm_exit){.kind = EXIT_NONE};
		return;
	}
	write_back(v);
	v->valid = 0;
	fake_virt.runs++;
	if (fake_virt.on_run) {
		fake_virt.on_run(v);
	}
	if (fake_virt.next < fake_virt.exits) {
		*exit = fake_virt.script[fake_virt.next++];
	} else {
		*exit = (struct vm_exit){.kind = EXIT_INTR};
	}
}

static void fetch(struct vcpu *v, uint32_t groups)
{
	uint64_t gpr[16];
	uint32_t keep = v->valid;

	fake_virt.fetched |= groups;
	if (!keep) { /* whole at once is enough: nothing is valid that could be overwritten */
		memcpy(gpr, v->regs.gpr, sizeof(gpr));
		v->regs = fake_virt.hardware;
		memcpy(v->regs.gpr, gpr, sizeof(gpr));
		return;
	}
	if (groups & GROUP_RIP) {
		v->regs.rip = fake_virt.hardware.rip;
	}
	if (groups & GROUP_RFLAGS) {
		v->regs.rflags = fake_virt.hardware.rflags;
	}
	if (groups & GROUP_SHADOW) {
		v->regs.shadow = fake_virt.hardware.shadow;
	}
	if (groups & GROUP_CR) {
		v->regs.cr0 = fake_virt.hardware.cr0;
		v->regs.cr3 = fake_virt.hardware.cr3;
		v->regs.cr4 = fake_virt.hardware.cr4;
		v->regs.efer = fake_virt.hardware.efer;
	}
	if (groups & GROUP_CS_SS) {
		v->regs.cs = fake_virt.hardware.cs;
		v->regs.ss = fake_virt.hardware.ss;
	}
}

static void inject(struct vcpu *v, const struct event *e)
{
	(void)v;
	if (fake_virt.injections < FAKE_EXITS) {
		fake_virt.injected[fake_virt.injections++] = *e;
	}
}

static void want_window(struct vcpu *v, enum virt_window w, bool on)
{
	(void)v;
	fake_virt.window[w] = on;
}

static void tpr_threshold(struct vcpu *v, unsigned class)
{
	(void)v;
	fake_virt.tpr_class = class;
}

static void flush(struct vcpu *v)
{
	(void)v;
	fake_virt.flushes++;
}

const struct virt_ops fake_virt_ops = {
	.name = "fake",
	.probe = probe,
	.cpu_enable = cpu_enable,
	.vcpu_create = vcpu_create,
	.vcpu_reset = reset,
	.run = run,
	.fetch = fetch,
	.inject = inject,
	.want_window = want_window,
	.tpr_threshold = tpr_threshold,
	.flush = flush,
};
