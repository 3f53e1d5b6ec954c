/* The emulator on strings, the stack and control transfers, and the length of instructions. */
#include "test.h"
#include "tests/fake/emulate_rig.h"

/* --- strings --- */

/* A fault in the middle: what was done stays, the rest is where the fault was. */
TEST(string_fault_in_the_middle)
{
	start_long();
	machine_map(&m, 0x20000, 0x9000, 6); /* the next page is missing */
	memset(m.mmio, 0x5a, 64);
	m.v.regs.gpr[RSI] = LONG_MMIO;
	m.v.regs.gpr[RDI] = 0x20ff8;
	m.v.regs.gpr[RCX] = 10;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0xf3, 0xa5), EMULATE_FAULT); /* rep movsd */
	CHECK(faulted(EXC_PF, PF_WRITE));
	CHECK_EQ(m.v.regs.cr2, 0x21000);
	CHECK_EQ(m.v.regs.gpr[RCX], 8);
	CHECK_EQ(m.v.regs.gpr[RSI], LONG_MMIO + 8);
	CHECK_EQ(m.v.regs.gpr[RDI], 0x21000);
	CHECK_EQ(m.v.regs.rip, CODE);
	CHECK_EQ(m.logged, 2); /* the element that faulted did not read the device */
	machine_free(&m);
}

/* A long REP comes back with RIP on it; with TF after each element, with #DB. */
TEST(string_in_batches)
{
	start_long();
	m.v.regs.gpr[RCX] = 100;
	m.v.regs.shadow = SHADOW_STI;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0xf3, 0xab), EMULATE_DONE);
	CHECK_EQ(m.v.regs.gpr[RCX], 36);
	CHECK_EQ(m.v.regs.rip, CODE);
	CHECK_EQ(m.v.regs.shadow, 0);
	CHECK_EQ(machine_emulate(&m), EMULATE_DONE);
	CHECK_EQ(m.v.regs.gpr[RCX], 0);
	CHECK_EQ(m.v.regs.rip, CODE + 2);
	m.v.regs.rip = CODE;
	m.v.regs.gpr[RCX] = 2;
	m.v.regs.rflags |= RFLAGS_TF;
	CHECK_EQ(machine_emulate(&m), EMULATE_DONE);
	CHECK_EQ(m.v.regs.gpr[RCX], 1);
	CHECK_EQ(m.v.regs.rip, CODE);
	CHECK(m.v.pending.valid && m.v.pending.vector == EXC_DB);
	machine_free(&m);
}

/* From RAM's last page into MMIO, and on into RAM: the tail is left to the guest itself. */
TEST(string_leaves_mmio)
{
	start_long();
	machine_map(&m, LONG_MMIO + PAGE_SIZE, 0x9000, 6);
	m.v.regs.gpr[RDI] = LONG_MMIO + 0xffc;
	m.v.regs.gpr[RCX] = 5;
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 0xffc, true, 0xf3, 0xab), EMULATE_DONE);
	CHECK_EQ(m.logged, 1);
	CHECK_EQ(m.v.regs.gpr[RCX], 4);
	CHECK_EQ(m.v.regs.rip, CODE);
	machine_free(&m);
}

TEST(port_strings)
{
	start_long();
	machine_map(&m, 0x20000, 0x9000, 6);
	memcpy(m.ram + 0x9000, "Mullion!", 8);
	m.v.regs.gpr[RSI] = 0x20000;
	m.v.regs.gpr[RDI] = 0x20100;
	m.v.regs.gpr[RDX] = 0x3f8;
	m.v.regs.gpr[RCX] = 7;
	CHECK_EQ(RUN(&m, 0, false, 0xf3, 0x6e), EMULATE_DONE); /* rep outsb */
	CHECK_EQ(m.logged, 7);
	CHECK(m.log[0].port && m.log[0].write && m.log[0].at == 0x3f8 && m.log[0].value == 'M');
	CHECK_EQ(m.log[6].value, 'n');
	CHECK_EQ(m.v.regs.gpr[RSI], 0x20007);
	m.v.regs.rip = CODE;
	m.v.regs.gpr[RCX] = 0xf00000003; /* 67h: ECX, EDI */
	m.v.regs.gpr[RDI] = 0xf00020108;
	m.v.regs.rflags |= RFLAGS_DF;
	m.port_value = 0x41;
	CHECK_EQ(RUN(&m, 0, false, 0x67, 0xf3, 0x66, 0x6d), EMULATE_DONE); /* rep insw */
	CHECK_EQ(m.logged, 3);
	CHECK_EQ(m.log[0].size, 2);
	CHECK_EQ(m.v.regs.gpr[RCX], 0);
	CHECK_EQ(m.v.regs.gpr[RDI], 0x20102);
	CHECK(!memcmp(m.ram + 0x9104, "C\0B\0A\0", 6));
	/* ins needs a writable place before it asks the port */
	m.v.regs.rip = CODE;
	m.v.regs.gpr[RDI] = 0x700000;
	CHECK_EQ(RUN(&m, 0, false, 0x6c), EMULATE_FAULT);
	CHECK(faulted(EXC_PF, PF_WRITE));
	CHECK_EQ(m.logged, 0);
	machine_free(&m);
}

TEST(port_strings_in_real_mode)
{
	start_mode(MACHINE_REAL);
	m.v.regs.es.base = 0x30000;
	m.v.regs.fs.base = 0x20000;
	m.v.regs.gpr[RDI] = 0x9999fffe;
	m.v.regs.gpr[RCX] = 0x12340003;
	CHECK_EQ(RUN(&m, 0, false, 0xf3, 0x6c), EMULATE_DONE); /* insb: DI wraps */
	CHECK_EQ(m.v.regs.gpr[RDI], 0x99990001);
	CHECK_EQ(m.v.regs.gpr[RCX], 0x12340000);
	CHECK_EQ(m.ram[0x3ffff], 1);
	CHECK_EQ(m.ram[0x30000], 2);
	/* a word does not wrap within: #GP with nothing read from the port */
	m.v.regs.rip = CODE;
	m.v.regs.gpr[RDI] = 0xffff;
	CHECK_EQ(RUN(&m, 0, false, 0x6d), EMULATE_FAULT);
	CHECK(faulted(EXC_GP, 0));
	CHECK_EQ(m.logged, 0);
	/* outs takes an override: fs */
	m.ram[0x20005] = 0x66;
	m.v.regs.gpr[RSI] = 5;
	CHECK_EQ(RUN(&m, 0, false, 0x64, 0x6e), EMULATE_DONE);
	CHECK_EQ(m.log[0].value, 0x66);
	machine_free(&m);
}

/* --- stack and control transfer --- */

TEST(stack_in_32_and_16_bits)
{
	uint32_t v;

	start_mode(MACHINE_PROT32);
	m.v.regs.gpr[RSP] = 0x5104;
	memcpy(m.mmio, "\x44\x33\x22\x11", 4);
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0xff, 0x37), EMULATE_DONE); /* push dword [edi] */
	CHECK_EQ(m.v.regs.gpr[RSP], 0x5100);
	memcpy(&v, m.ram + 0x5100, 4);
	CHECK_EQ(v, 0x11223344);
	/* pop dword [edi+8] */
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 8, true, 0x8f, 0x47, 8), EMULATE_DONE);
	CHECK(logged(0, true, MACHINE_MMIO + 8, 4, 0x11223344));
	CHECK_EQ(m.v.regs.gpr[RSP], 0x5104);
	/* call [edi] */
	m.v.regs.rip = CODE;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0xff, 0x17), EMULATE_DONE);
	CHECK_EQ(m.v.regs.rip, 0x11223344);
	memcpy(&v, m.ram + 0x5100, 4);
	CHECK_EQ(v, CODE + 2);
	/* beyond the code segment: #GP, and the stack as it was */
	m.v.regs.rip = CODE;
	m.v.regs.cs.limit = 0xffff;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0xff, 0x17), EMULATE_FAULT);
	CHECK(faulted(EXC_GP, 0));
	CHECK_EQ(m.v.regs.gpr[RSP], 0x5100);
	/* a 16-bit stack uses SP alone */
	m.v.regs.ss.ar &= ~(uint32_t)SEG_DB;
	m.v.regs.gpr[RSP] = 0x12345002;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0x66, 0xff, 0x37), EMULATE_DONE); /* push word */
	CHECK_EQ(m.v.regs.gpr[RSP], 0x12345000);
	CHECK_EQ(m.ram[0x5001], 0x33);
	machine_free(&m);
}

TEST(stack_fault)
{
	start_long();
	m.v.regs.gpr[RSP] = 0x700000;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0xff, 0x37), EMULATE_FAULT);
	CHECK(faulted(EXC_PF, PF_WRITE));
	CHECK_EQ(m.v.regs.cr2, 0x6ffff8);
	CHECK_EQ(m.logged, 0);
	m.v.regs.gpr[RSP] = 0x800000000000;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x8f, 0x07), EMULATE_FAULT);
	CHECK(faulted(EXC_SS, 0));
	/* jmp [rdi] to an address that is not canonical */
	memset(m.mmio, 0x7f, 8);
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0xff, 0x27), EMULATE_FAULT);
	CHECK(faulted(EXC_GP, 0));
	CHECK_EQ(m.v.regs.rip, CODE);
	machine_free(&m);
}

/* --- length and control registers --- */

TEST(length)
{
	start_long();
	RUN(&m, 0, false, 0xf3, 0x0f, 0xa2); /* rep cpuid */
	CHECK_EQ(emulate_length(&m.e), 3);
	CHECK_EQ(m.v.regs.rip, CODE);
	RUN(&m, 0, false, 0x06);
	CHECK_EQ(emulate_length(&m.e), 0);
	CHECK(!m.e.fault.valid);
	m.v.regs.rip = 0x700000;
	CHECK_EQ(emulate_length(&m.e), 0);
	CHECK(faulted(EXC_PF, PF_FETCH));
	machine_free(&m);
}
