/*
 * One instruction on a small machine: see emulate_rig.h.
 */
#include "tests/fake/emulate_rig.h"

struct machine m;

void start_long(void)
{
	machine_init(&m, MACHINE_LONG);
	machine_map(&m, CODE, CODE, 6);
	machine_map(&m, CODE + PAGE_SIZE, CODE + PAGE_SIZE, 6);
	machine_map(&m, LONG_MMIO, MACHINE_MMIO, 6);
	machine_map(&m, LONG_MMIO + PAGE_SIZE, MACHINE_MMIO + PAGE_SIZE, 6);
	m.v.regs.rip = CODE;
	m.v.regs.gpr[RDI] = LONG_MMIO;
}

bool logged(unsigned i, bool write, uint64_t at, unsigned size, uint64_t value)
{
	const struct machine_access *a = &m.log[i];

	return i < m.logged && !a->port && a->write == write && a->at == at && a->size == size &&
	       a->value == value;
}

bool faulted(unsigned vector, uint32_t error)
{
	return m.e.fault.valid && m.e.fault.type == EVENT_EXC && m.e.fault.vector == vector &&
	       m.e.fault.error == error;
}

void start_mode(enum machine_mode mode)
{
	machine_init(&m, mode);
	m.v.regs.rip = CODE;
	if (mode == MACHINE_REAL) {
		return;
	}
	machine_map(&m, CODE, CODE, 6);
	machine_map(&m, 0xfec00000, MACHINE_MMIO, 6);
	machine_map(&m, 0x5000, 0x5000, 6);
	machine_map(&m, 0x6000, 0x6000, 6);
	m.v.regs.gpr[RDI] = 0xfec00000;
}
