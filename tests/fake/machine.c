#include "tests/fake/machine.h"
#include "hv/virt.h"
#include "tests/fake/fake_host.h"
#include <stdlib.h>
#include <string.h>

static void record(struct machine *m, bool port, uint64_t at, const struct bus_access *a)
{
	if (m->logged < MACHINE_LOG) {
		m->log[m->logged] = (struct machine_access){.port = port,
							    .write = a->write,
							    .at = at,
							    .value = a->value,
							    .size = a->size};
	}
	m->logged++;
}

static void mmio(void *ctx, gpa_t gpa, struct bus_access *a)
{
	struct machine *m = ctx;
	uint64_t offset = gpa.v - MACHINE_MMIO;

	if (a->size != 1 && a->size != 2 && a->size != 4 && a->size != 8) {
		abort();
	}
	if (offset < MACHINE_MMIO_SIZE && offset + a->size <= MACHINE_MMIO_SIZE) {
		if (a->write) {
			memcpy(m->mmio + offset, &a->value, a->size);
		} else {
			a->value = 0;
			memcpy(&a->value, m->mmio + offset, a->size);
		}
	} else if (!a->write) {
		a->value = ~0ull;
	}
	record(m, false, gpa.v, a);
}

static void port(void *ctx, uint16_t at, struct bus_access *a)
{
	struct machine *m = ctx;

	if (!a->write) {
		a->value = m->port_value++;
	}
	record(m, true, at, a);
}

static void machine_segments(struct machine *m, enum machine_mode mode)
{
	bool real = mode == MACHINE_REAL, wide = mode != MACHINE_REAL && mode != MACHINE_PROT16;
	struct segment data = {
		.limit = real ? 0xffff : 0xffffffff,
		.ar = 0x93 | (wide ? SEG_DB : 0) | (real ? 0 : SEG_G),
	};
	struct vcpu_regs *r = &m->v.regs;

	r->cs = r->ss = r->ds = r->es = r->fs = r->gs = data;
	if (!real) {
		r->cs.ar |= 0x8; /* code, readable */
	}
	if (mode == MACHINE_LONG || mode == MACHINE_LONG5) {
		r->cs.ar = (r->cs.ar | SEG_L) & ~(uint32_t)SEG_DB;
	}
}

void machine_init(struct machine *m, enum machine_mode mode)
{
	struct refusal why = {0};
	struct addr_range ram = {.size = MACHINE_RAM, .writable = true};
	struct addr_range rom = {.base = gpa(MACHINE_ROM), .size = PAGE_SIZE};
	struct vcpu_regs *r = &m->v.regs;

	memset(m, 0, sizeof(*m));
	m->ram = ram.ptr = calloc(1, MACHINE_RAM);
	m->rom = rom.ptr = calloc(1, PAGE_SIZE);
	if (!addrspace_add(&m->as, &rom, &why) || !addrspace_add(&m->as, &ram, &why)) {
		abort();
	}
	m->bus = (struct emulate_bus){.ctx = m, .mmio = mmio, .port = port};
	m->tables = MACHINE_TABLES + PAGE_SIZE;
	m->v.valid = GROUP_ALL;
	fake_host.xcr0 = 7;
	r->rflags = RFLAGS_1;
	r->cr0 = mode == MACHINE_REAL ? 0 : CR0_PE | CR0_PG | CR0_WP;
	r->cr3 = MACHINE_TABLES;
	r->cr4 = CR4_PSE | CR4_OSFXSR | CR4_OSXSAVE;
	if (mode == MACHINE_PAE || mode == MACHINE_COMPAT || mode == MACHINE_LONG ||
	    mode == MACHINE_LONG5) {
		r->cr4 |= CR4_PAE;
		r->efer = EFER_NXE;
	}
	if (mode == MACHINE_COMPAT || mode == MACHINE_LONG || mode == MACHINE_LONG5) {
		r->efer |= EFER_LME | EFER_LMA;
	}
	if (mode == MACHINE_LONG5) {
		r->cr4 |= CR4_LA57;
	}
	machine_segments(m, mode);
	m->e = (struct emulate){.vcpu = &m->v, .as = &m->as, .bus = &m->bus, .maxphyaddr = 46};
}

void machine_free(struct machine *m)
{
	free(m->ram);
	free(m->rom);
}

void machine_set_cpl(struct machine *m, unsigned cpl)
{
	struct vcpu_regs *r = &m->v.regs;

	r->ss.ar = (r->ss.ar & ~(uint32_t)SEG_DPL) | (uint32_t)field_put(SEG_DPL, cpl);
	r->cs.ar = (r->cs.ar & ~(uint32_t)SEG_DPL) | (uint32_t)field_put(SEG_DPL, cpl);
}

static unsigned levels(const struct machine *m)
{
	if (!(m->v.regs.cr4 & CR4_PAE)) {
		return 2;
	}
	if (!(m->v.regs.efer & EFER_LMA)) {
		return 3;
	}
	return m->v.regs.cr4 & CR4_LA57 ? 5 : 4;
}

static uint8_t *entry_in(struct machine *m, uint64_t table, uint64_t va, unsigned level)
{
	if (levels(m) == 2) {
		return m->ram + table + (va >> (level == 2 ? 22 : 12) & 1023) * 4;
	}
	return m->ram + table + (va >> (12 + 9 * (level - 1)) & 511) * 8;
}

static uint64_t entry_get(struct machine *m, const uint8_t *at)
{
	uint64_t v = 0;

	memcpy(&v, at, levels(m) == 2 ? 4 : 8);
	return v;
}

static void entry_put(struct machine *m, uint8_t *at, uint64_t v)
{
	memcpy(at, &v, levels(m) == 2 ? 4 : 8);
}

void *machine_entry(struct machine *m, uint64_t va, unsigned level)
{
	uint64_t table = m->v.regs.cr3 & ~PAGE_MASK;

	for (unsigned l = levels(m); l > level; l--) {
		uint8_t *at = entry_in(m, table, va, l);
		uint64_t entry = entry_get(m, at);

		if (!(entry & 1)) {
			entry = m->tables | (levels(m) == 3 && l == 3 ? 1 : 7);
			entry_put(m, at, entry);
			m->tables += PAGE_SIZE;
			if (m->tables > MACHINE_RAM) {
				abort();
			}
		}
		table = entry & FIELD(51, 12);
	}
	return entry_in(m, table, va, level);
}

void machine_map(struct machine *m, uint64_t va, uint64_t gpa, uint64_t flags)
{
	entry_put(m, machine_entry(m, va, 1), (gpa & ~PAGE_MASK) | flags | 1);
}

/* The fields of each register group, as vcpu.h lists them. */
static const struct {
	uint32_t group;
	size_t offset, size;
} fields[] = {
#define FIELD_OF(group, name)                                                                      \
	{                                                                                          \
		group, offsetof(struct vcpu_regs, name), sizeof(((struct vcpu_regs *)0)->name)     \
	}
	FIELD_OF(GROUP_RIP, rip),
	FIELD_OF(GROUP_RSP, gpr[RSP]),
	FIELD_OF(GROUP_RFLAGS, rflags),
	FIELD_OF(GROUP_SHADOW, shadow),
	FIELD_OF(GROUP_CR, cr0),
	FIELD_OF(GROUP_CR, cr3),
	FIELD_OF(GROUP_CR, cr4),
	FIELD_OF(GROUP_CR, efer),
	FIELD_OF(GROUP_CR2, cr2),
	FIELD_OF(GROUP_AR, cs.ar),
	FIELD_OF(GROUP_AR, ss.ar),
	FIELD_OF(GROUP_CS_SS_REST, cs.base),
	FIELD_OF(GROUP_CS_SS_REST, cs.limit),
	FIELD_OF(GROUP_CS_SS_REST, ss.base),
	FIELD_OF(GROUP_CS_SS_REST, ss.limit),
	FIELD_OF(GROUP_CS_SS_REST, cs.selector),
	FIELD_OF(GROUP_CS_SS_REST, ss.selector),
	FIELD_OF(GROUP_SEG, ds),
	FIELD_OF(GROUP_SEG, es),
	FIELD_OF(GROUP_SEG, fs),
	FIELD_OF(GROUP_SEG, gs),
};

static void copy_groups(struct vcpu_regs *to, const struct vcpu_regs *from, uint32_t groups)
{
	for (size_t i = 0; i < ARRAY_SIZE(fields); i++) {
		if (fields[i].group & groups) {
			memcpy((uint8_t *)to + fields[i].offset,
			       (const uint8_t *)from + fields[i].offset, fields[i].size);
		}
	}
}

static void fetch(struct vcpu *v, uint32_t groups)
{
	struct machine *m = (struct machine *)((uint8_t *)v - offsetof(struct machine, v));

	copy_groups(&v->regs, &m->truth, groups);
}

/* What exit.c does: the short way where it leads, else the long one. */
static enum emulate_result exit_like(struct machine *m)
{
	struct bus_access a = {0};
	const struct decoded *d = NULL;

	if (m->e.gpa_valid && vcpu_code_bits(&m->v) == 64) {
		vcpu_need(&m->v, GROUP_RIP | GROUP_CR);
		d = emulate_plain(&m->v, m->e.gpa, m->e.write, vcpu_cpl(&m->v), &a);
	}
	m->plain += d != NULL;
	if (!d) {
		return emulate(&m->e);
	}
	m->bus.mmio(m->bus.ctx, m->e.gpa, &a);
	emulate_plain_end(&m->v, d, &a);
	m->e.fault.valid = false;
	m->e.insn_len = d->len;
	return EMULATE_DONE;
}

enum emulate_result machine_emulate(struct machine *m)
{
	static const struct virt_ops ops = {.name = "machine", .fetch = fetch};
	struct vcpu_regs *r = &m->v.regs, poison;
	enum emulate_result result;

	virt = &ops;
	m->truth = *r;
	memset(&poison, 0x5a, sizeof(poison));
	copy_groups(r, &poison, GROUP_ALL);
	m->v.valid = m->v.dirty = 0;
	result = exit_like(m);
	copy_groups(&m->truth, r, m->v.dirty);
	memcpy(poison.gpr, r->gpr, sizeof(poison.gpr));
	poison.gpr[RSP] = m->truth.gpr[RSP];
	*r = m->truth;
	memcpy(r->gpr, poison.gpr, sizeof(r->gpr));
	m->v.valid = GROUP_ALL;
	return result;
}

enum emulate_result machine_run(struct machine *m, const void *code, size_t len, uint64_t gpa,
				bool write)
{
	struct vcpu_regs *r = &m->v.regs;
	uint64_t base = m->v.regs.cs.ar & SEG_L && r->efer & EFER_LMA ? 0 : r->cs.base;
	const uint8_t *bytes = code;

	for (size_t i = 0; i < len; i++) {
		uint64_t va = base + r->rip + i, at = va;

		if (r->cr0 & CR0_PG) {
			at = (entry_get(m, machine_entry(m, va, 1)) & FIELD(51, 12)) |
			     (va & PAGE_MASK);
		}
		if (at < MACHINE_RAM) {
			m->ram[at] = bytes[i];
		}
	}
	m->e.gpa = (gpa_t){gpa};
	m->e.gpa_valid = gpa != 0;
	m->e.write = write;
	m->logged = 0;
	return machine_emulate(m);
}
