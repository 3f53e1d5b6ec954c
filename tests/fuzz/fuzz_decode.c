/*
 * libFuzzer target: arbitrary code bytes, registers, modes and page-table entries into emulate().
 *
 * Besides what the sanitizers find, it checks that an instruction which did not complete has
 * changed no register (strings may have done elements), and that a fault is there when one is
 * announced.
 */
#include "tests/fake/machine.h"
#include <stdlib.h>
#include <string.h>

enum { CODE = 0x1000, MODES = MACHINE_PROT16 + 1, TABLES_SIZE = 16 * PAGE_SIZE };

static struct machine machines[MODES];
static uint8_t pristine[MODES][TABLES_SIZE];

/* What one input says, in this order; what it lacks is zero. */
struct input {
	uint8_t mode, cpl, gpa_kind, write;
	uint32_t flags; /* of RFLAGS */
	uint64_t gpr[16];
	uint32_t controls; /* toggled in CR0 (low half) and CR4 (high half) */
	struct {
		uint16_t at;
		uint8_t value;
		uint8_t used;
	} table[2]; /* bytes of the page tables */
	uint8_t segment_ar, segment_limit;
	uint8_t code[16];
};

static void prepare(void)
{
	static const uint64_t pages[][2] = {
		{CODE, CODE},	  {CODE + PAGE_SIZE, 0x2000}, {0x5000, 0x5000},
		{0x6000, 0x6000}, {0xfec00000, MACHINE_MMIO}, {0xfec01000, MACHINE_ROM}};

	for (unsigned mode = 0; mode < MODES; mode++) {
		struct machine *m = &machines[mode];

		machine_init(m, (enum machine_mode)mode);
		for (unsigned i = 0; mode != MACHINE_REAL && i < ARRAY_SIZE(pages); i++) {
			machine_map(m, pages[i][0], pages[i][1], 6);
		}
		if (m->tables > MACHINE_TABLES + TABLES_SIZE) {
			abort();
		}
		memcpy(pristine[mode], m->ram + MACHINE_TABLES, TABLES_SIZE);
	}
}

static void place(struct machine *m, const struct input *in, unsigned mode)
{
	struct vcpu_regs *r = &m->v.regs;
	unsigned at = in->gpa_kind & 0x80 ? PAGE_SIZE - (in->gpa_kind & 15) : 0;
	unsigned first = at && PAGE_SIZE - at < sizeof(in->code) ? PAGE_SIZE - at : 16;

	memcpy(m->ram + MACHINE_TABLES, pristine[mode], TABLES_SIZE);
	for (unsigned i = 0; i < ARRAY_SIZE(in->table); i++) {
		if (in->table[i].used & 1) {
			m->ram[MACHINE_TABLES + in->table[i].at % TABLES_SIZE] = in->table[i].value;
		}
	}
	memcpy(m->ram + CODE + at, in->code, first);
	memcpy(m->ram + CODE + PAGE_SIZE, in->code + first, sizeof(in->code) - first);
	memcpy(r->gpr, in->gpr, sizeof(r->gpr));
	for (unsigned i = 0; i < 16; i++) {
		if (in->gpr[i] >> 56 == 0xaa) { /* makes hits of mapped pages likely */
			r->gpr[i] = (in->gpr[i] & 1 ? 0xfec00000 : 0x5000) +
				    (in->gpr[i] >> 8 & 0x1fff);
		}
	}
	r->rip = CODE + at;
	r->rflags = (in->flags & 0x257fd5) | RFLAGS_1;
	if (mode != MACHINE_REAL) {
		machine_set_cpl(m, in->cpl & 3);
	}
}

static void run(struct machine *m, const struct input *in)
{
	static const uint64_t gpas[] = {MACHINE_MMIO, MACHINE_MMIO + 0xff8, MACHINE_ROM,
					0xfee00000};
	uint64_t before[16], rip = m->v.regs.rip;
	enum emulate_result result;

	memcpy(before, m->v.regs.gpr, sizeof(before));
	m->e.gpa = gpa(gpas[in->gpa_kind & 3] + (in->gpa_kind & 4 ? in->gpr[RDI] & 0xfff : 0));
	m->e.gpa_valid = !(in->gpa_kind & 8);
	m->e.write = in->write & 1;
	m->e.pkru = in->flags;
	m->logged = 0;
	result = emulate(&m->e);
	if (result == EMULATE_FAULT && !m->e.fault.valid) {
		abort();
	}
	if (result != EMULATE_DONE && m->v.regs.rip != rip) {
		abort();
	}
	if (result != EMULATE_DONE && memcmp(before, m->v.regs.gpr, sizeof(before)) &&
	    (result == EMULATE_RETRY || before[RCX] == m->v.regs.gpr[RCX])) {
		abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct input in = {0};
	struct machine *m;
	struct vcpu_regs saved;
	unsigned mode;

	if (!machines[0].ram) {
		prepare();
	}
	/* the code first, so that short inputs are instructions */
	memcpy(in.code, data, size < sizeof(in.code) ? size : sizeof(in.code));
	if (size > sizeof(in.code)) {
		size -= sizeof(in.code);
		memcpy(&in, data + sizeof(in.code),
		       size < offsetof(struct input, code) ? size : offsetof(struct input, code));
	}
	mode = in.mode % MODES;
	m = &machines[mode];
	saved = m->v.regs;
	place(m, &in, mode);
	m->v.regs.cr0 ^= in.controls & (CR0_WP | CR0_AM | CR0_TS | CR0_EM) & 0xffff;
	m->v.regs.cr4 ^= (uint64_t)(in.controls >> 16) & (CR4_OSFXSR | CR4_PSE);
	m->v.regs.cr4 ^= (uint64_t)(in.controls & 7) << 20; /* SMEP SMAP PKE */
	if (in.segment_ar) {
		m->v.regs.ds.ar = in.segment_ar | 0xc000;
		m->v.regs.ds.limit = in.segment_limit ? (uint32_t)in.segment_limit << 8 : ~0u;
	}
	run(m, &in);
	emulate_length(&m->e);
	m->v.regs = saved;
	m->v.pending.valid = false;
	m->v.triple_fault = false;
	return 0;
}
