/* The emulator in 16- and 32-bit code, and in real mode. */
#include "test.h"
#include "tests/fake/emulate_rig.h"

TEST(mov_in_every_mode)
{
	static const enum machine_mode modes[] = {MACHINE_PROT32, MACHINE_PAE, MACHINE_COMPAT};

	for (unsigned i = 0; i < ARRAY_SIZE(modes); i++) {
		start_mode(modes[i]);
		m.v.regs.gpr[RAX] = 0x12345678;
		CHECK_EQ(RUN(&m, MACHINE_MMIO + 4, false, 0x89, 0x47, 4), EMULATE_DONE);
		CHECK(logged(0, true, MACHINE_MMIO + 4, 4, 0x12345678));
		/* mov ax, [edi+4]; moffs: mov [0xfec00008], al; 16-bit address of [di] is not there
		 */
		m.mmio[4] = 1;
		CHECK_EQ(RUN(&m, MACHINE_MMIO + 4, true, 0x66, 0x8b, 0x47, 4), EMULATE_DONE);
		CHECK_EQ(m.v.regs.gpr[RAX], 0x12345601);
		CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0xa2, 8, 0, 0xc0, 0xfe), EMULATE_DONE);
		CHECK(logged(0, true, MACHINE_MMIO + 8, 1, 1));
		CHECK_EQ(RUN(&m, MACHINE_MMIO + 4, false, 0x67, 0x8b, 0x05), EMULATE_FAULT);
		CHECK(faulted(EXC_PF, 0));
		CHECK_EQ(m.v.regs.cr2, 0);
		/* inc dword [edi]: 40-4f are no prefixes here. inc eax would be RETRY */
		CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0xff, 0x07), EMULATE_DONE);
		CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0x40), EMULATE_RETRY);
		machine_free(&m);
	}
}

TEST(code_segment_base_and_limit)
{
	start_mode(MACHINE_PROT32);
	m.v.regs.cs.base = 0x1000;
	m.v.regs.rip = 0;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x89, 0x07), EMULATE_DONE);
	CHECK_EQ(m.v.regs.rip, 2);
	/* the second byte is beyond the limit */
	m.v.regs.cs.limit = 2;
	m.v.regs.rip = 2;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x89, 0x07), EMULATE_FAULT);
	CHECK(faulted(EXC_GP, 0));
	machine_free(&m);
}

TEST(real_mode)
{
	start_mode(MACHINE_REAL);
	/* flat "unreal" DS: mov [edi], al with a 67h prefix */
	m.v.regs.ds.limit = 0xffffffff;
	m.v.regs.gpr[RDI] = MACHINE_MMIO;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x67, 0x88, 0x07), EMULATE_DONE);
	CHECK(logged(0, true, MACHINE_MMIO, 1, 0));
	/* [bx+si] wraps at 64 KiB; ES base leads to MMIO. mov es:[bx+si+2], ax */
	m.v.regs.es.base = MACHINE_MMIO;
	m.v.regs.gpr[RBX] = 0x1234ffff;
	m.v.regs.gpr[RSI] = 0x5678000f;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0x26, 0x89, 0x40, 2), EMULATE_DONE);
	CHECK(logged(0, true, MACHINE_MMIO + 0x10, 2, 0));
	/* a word at offset ffff is beyond the limit; through BP it is #SS */
	m.v.regs.gpr[RSI] = 0xfffe;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0x26, 0x89, 0x40, 2), EMULATE_FAULT);
	CHECK(faulted(EXC_GP, 0));
	m.v.regs.gpr[RBP] = 0xffff;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0x89, 0x46, 0), EMULATE_FAULT);
	CHECK(faulted(EXC_SS, 0));
	/* a code segment may be written in real mode */
	m.v.regs.cs.ar = 0x9b;
	m.v.regs.cs.base = 0;
	m.v.regs.gpr[RBX] = 0;
	m.v.regs.gpr[RSI] = 0;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0x2e, 0x89, 0x00), EMULATE_RETRY); /* RAM at 0 */
	machine_free(&m);
}

/* Limit and type of data segments, in the words of "Limit Checking" and "Type Checking". */
TEST(segment_checks)
{
	static const struct {
		uint32_t limit, ar;
		bool write, good;
	} cases[] = {
		{0xffffffff, 0xc093, true, true},  {0xffffffff, 0xc091, true, false},
		{0xffffffff, 0xc091, false, true}, {0xffffffff, 0x1c093, false, false},
		{0x43, 0x4093, true, true},	   {0x42, 0x4093, true, false},
		{0xffffffff, 0xc09b, false, true}, {0xffffffff, 0xc099, false, false},
		{0xffffffff, 0xc09b, true, false}, {0x3f, 0x4097, true, true},
		{0x40, 0x4097, true, false},	   {0x3f, 0x0097, true, true},
		{0xffffffff, 0xc097, true, false}, {0xffffffff, 0xc013, false, false},
	};

	for (unsigned i = 0; i < ARRAY_SIZE(cases); i++) {
		start_mode(MACHINE_PROT32);
		m.v.regs.ds = (struct segment){
			.base = 0xfec00000, .limit = cases[i].limit, .ar = cases[i].ar};
		m.v.regs.gpr[RDI] = 0x40;
		CHECK_EQ(RUN(&m, MACHINE_MMIO, cases[i].write, cases[i].write ? 0x89 : 0x8b, 0x07),
			 cases[i].good ? EMULATE_DONE : EMULATE_FAULT);
		CHECK(cases[i].good || faulted(EXC_GP, 0));
		CHECK_EQ(m.logged, cases[i].good);
		machine_free(&m);
	}
}
