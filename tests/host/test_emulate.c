/*
 * The emulator's rules case by case, in 64-bit code: fetch, operands, faults. Results of ordinary
 * operands: test_emulate_native.c.
 */
#include "test.h"
#include "tests/fake/emulate_rig.h"

TEST(mov_store_long)
{
	start_long();
	m.v.regs.gpr[RAX] = 0x1122334455667788;
	m.v.regs.shadow = SHADOW_STI;
	/* mov [rdi+0xb0], eax */
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 0xb0, true, 0x89, 0x87, 0xb0, 0, 0, 0), EMULATE_DONE);
	CHECK_EQ(m.logged, 1);
	CHECK(logged(0, true, MACHINE_MMIO + 0xb0, 4, 0x55667788));
	CHECK_EQ(m.v.regs.rip, CODE + 6);
	CHECK_EQ(m.v.regs.shadow, 0);
	/* again, from the cache */
	m.v.regs.rip = CODE;
	m.v.regs.gpr[RAX] = 5;
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 0xb0, true, 0x89, 0x87, 0xb0, 0, 0, 0), EMULATE_DONE);
	CHECK(logged(0, true, MACHINE_MMIO + 0xb0, 4, 5));
	/* other bytes at the same address: the cache must not be used. mov [rdi+0xb0], ecx */
	m.v.regs.rip = CODE;
	m.v.regs.gpr[RCX] = 6;
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 0xb0, true, 0x89, 0x8f, 0xb0, 0, 0, 0), EMULATE_DONE);
	CHECK(logged(0, true, MACHINE_MMIO + 0xb0, 4, 6));
	machine_free(&m);
}

TEST(mov_load_long)
{
	start_long();
	m.v.regs.gpr[RAX] = ~0ull;
	memcpy(m.mmio + 0x20, "\x88\x77\x66\x55\x44\x33\x22\x11", 8);
	/* mov eax, [rdi+0x20]: 32-bit writes clear the upper half */
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 0x20, false, 0x8b, 0x47, 0x20), EMULATE_DONE);
	CHECK_EQ(m.v.regs.gpr[RAX], 0x55667788);
	/* mov ah, [rdi+0x20]: keeps the rest */
	m.v.regs.gpr[RAX] = 0x0101010101010101;
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 0x20, false, 0x8a, 0x67, 0x20), EMULATE_DONE);
	CHECK_EQ(m.v.regs.gpr[RAX], 0x0101010101018801);
	/* movsx r9, word [rdi+0x20] is 7788: positive; movsx rax, byte is 88: negative */
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 0x20, false, 0x4c, 0x0f, 0xbf, 0x4f, 0x20), EMULATE_DONE);
	CHECK_EQ(m.v.regs.gpr[R9], 0x7788);
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 0x20, false, 0x48, 0x0f, 0xbe, 0x47, 0x20), EMULATE_DONE);
	CHECK_EQ(m.v.regs.gpr[RAX], 0xffffffffffffff88);
	machine_free(&m);
}

/* --- fetch --- */

TEST(fetch_across_pages)
{
	start_long();
	machine_map(&m, CODE + PAGE_SIZE, 0x7000, 6); /* not the next frame */
	for (unsigned in_first = 1; in_first < 6; in_first++) {
		m.v.regs.rip = CODE + PAGE_SIZE - in_first;
		m.v.regs.gpr[RAX] = in_first;
		CHECK_EQ(RUN(&m, MACHINE_MMIO + 0xb0, true, 0x89, 0x87, 0xb0, 0, 0, 0),
			 EMULATE_DONE);
		CHECK(logged(0, true, MACHINE_MMIO + 0xb0, 4, in_first));
		CHECK_EQ(m.e.insn_len, 6);
		CHECK_EQ(m.v.regs.rip, CODE + PAGE_SIZE - in_first + 6);
	}
	machine_free(&m);
}

/* The first page is there, the second is not: #PF with the second page's address. */
TEST(fetch_second_page_missing)
{
	start_long();
	m.v.regs.rip = CODE + PAGE_SIZE - 2;
	RUN(&m, MACHINE_MMIO + 0xb0, true, 0x89, 0x87, 0xb0, 0, 0, 0);
	machine_map(&m, CODE + PAGE_SIZE, 0, 0);
	*(uint64_t *)machine_entry(&m, CODE + PAGE_SIZE, 1) = 0;
	m.v.regs.rip = CODE + PAGE_SIZE - 2;
	memset(&m.v.decoded, 0, sizeof(m.v.decoded));
	m.logged = 0;
	m.v.dirty = 0;
	CHECK_EQ(machine_emulate(&m), EMULATE_FAULT);
	CHECK(faulted(EXC_PF, PF_FETCH));
	CHECK_EQ(m.v.regs.cr2, CODE + PAGE_SIZE);
	CHECK(m.v.dirty & GROUP_CR2);
	CHECK_EQ(m.v.regs.rip, CODE + PAGE_SIZE - 2);
	CHECK_EQ(m.logged, 0);
	/* an instruction that ends with the page needs no second one: mov [rdi], eax */
	m.ram[CODE + PAGE_SIZE - 2] = 0x89;
	m.ram[CODE + PAGE_SIZE - 1] = 0x07;
	m.e.gpa = gpa(MACHINE_MMIO);
	CHECK_EQ(machine_emulate(&m), EMULATE_DONE);
	machine_free(&m);
}

TEST(fetch_unmapped_and_not_executable)
{
	start_long();
	m.v.regs.rip = 0x400000;
	machine_map(&m, 0x400000, 0x9000, NX_BIT | 6);
	machine_set_cpl(&m, 3);
	CHECK_EQ(machine_emulate(&m), EMULATE_FAULT);
	CHECK(faulted(EXC_PF, PF_PRESENT | PF_USER | PF_FETCH));
	m.v.regs.rip = 0x800000;
	CHECK_EQ(machine_emulate(&m), EMULATE_FAULT);
	CHECK(faulted(EXC_PF, PF_USER | PF_FETCH));
	CHECK_EQ(m.v.regs.cr2, 0x800000);
	/* code in MMIO is not emulated, and harms nobody */
	m.v.regs.rip = LONG_MMIO;
	CHECK_EQ(machine_emulate(&m), EMULATE_UNKNOWN);
	CHECK_EQ(m.e.bytes_count, 0);
	machine_free(&m);
}

TEST(too_long_and_invalid)
{
	static const uint8_t prefixes[16] = {0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66,
					     0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x66, 0x90};

	start_long();
	CHECK_EQ(machine_run(&m, prefixes, sizeof(prefixes), MACHINE_MMIO, true), EMULATE_FAULT);
	CHECK(faulted(EXC_GP, 0));
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x06), EMULATE_UNKNOWN); /* push es: not in 64-bit */
	CHECK_EQ(m.e.bytes[0], 0x06);
	CHECK(m.e.bytes_count == 15);
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0xd9, 0x07), EMULATE_UNKNOWN); /* fld dword [rdi] */
	CHECK_EQ(m.e.insn_len, 2);
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0xff, 0x2f), EMULATE_UNKNOWN); /* jmp far [rdi] */
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x8c, 0x07), EMULATE_UNKNOWN); /* mov [rdi], es */
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x50), EMULATE_UNKNOWN);	    /* push rax */
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0xe8, 0, 0, 0, 0), EMULATE_UNKNOWN); /* call rel */
	CHECK_EQ(m.v.regs.rip, CODE);
	CHECK_EQ(m.logged, 0);
	machine_free(&m);
}

/* The guest replaced the instruction, or its operand is RAM by now: the guest goes on by itself. */
TEST(retry)
{
	start_long();
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x89, 0xc3), EMULATE_RETRY); /* mov ebx, eax */
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x6e), EMULATE_RETRY);	  /* outsb */
	m.v.regs.gpr[RDI] = CODE + 0x100;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x89, 0x07), EMULATE_RETRY);
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0xf3, 0xaa, 0), EMULATE_DONE); /* rcx is 0 */
	m.v.regs.rip = CODE;
	m.v.regs.gpr[RCX] = 1;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0xf3, 0xaa), EMULATE_RETRY);
	CHECK_EQ(RUN(&m, 0, false, 0x89, 0x07), EMULATE_RETRY); /* an I/O exit, but a MOV */
	CHECK_EQ(m.logged, 0);
	CHECK_EQ(m.v.regs.rip, CODE);
	machine_free(&m);
}

/* --- operands --- */

/* The exit's translation is used for the access that it describes, and for no other. */
TEST(exit_translation)
{
	start_long();
	/* The linear address is not mapped: only the exit knows where it leads. */
	m.v.regs.gpr[RDI] = 0x1234567000;
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 0x20, true, 0x89, 0x47, 0x20), EMULATE_DONE);
	CHECK(logged(0, true, MACHINE_MMIO + 0x20, 4, 0));
	/* other offset, other direction, read-modify-write, or across the page: walked */
	m.v.regs.rip = CODE;
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 0x24, true, 0x89, 0x47, 0x20), EMULATE_FAULT);
	CHECK(faulted(EXC_PF, PF_WRITE));
	CHECK_EQ(m.v.regs.cr2, 0x1234567020);
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 0x20, false, 0x89, 0x47, 0x20), EMULATE_FAULT);
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 0x20, true, 0x8b, 0x47, 0x20), EMULATE_FAULT);
	CHECK(faulted(EXC_PF, 0));
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 0x20, true, 0x09, 0x47, 0x20), EMULATE_FAULT);
	CHECK(faulted(EXC_PF, PF_WRITE));
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 0xffe, true, 0x89, 0x87, 0xfe, 0xf, 0, 0), EMULATE_FAULT);
	CHECK_EQ(m.logged, 0);
	machine_free(&m);
}

/* A store of 8 bytes, 3 of them at the end of RAM's page and 5 in MMIO, and the other way round. */
TEST(split_between_ram_and_mmio)
{
	start_long();
	machine_map(&m, LONG_MMIO - PAGE_SIZE, 0x9000, 6);
	m.v.regs.gpr[RAX] = 0x8877665544332211;
	/* mov [rdi-3], rax */
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x48, 0x89, 0x47, 0xfd), EMULATE_DONE);
	CHECK(!memcmp(m.ram + 0x9ffd, "\x11\x22\x33", 3));
	CHECK_EQ(m.logged, 2);
	CHECK(logged(0, true, MACHINE_MMIO, 4, 0x77665544));
	CHECK(logged(1, true, MACHINE_MMIO + 4, 1, 0x88));
	/* mov rbx, [rdi-3] */
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0x48, 0x8b, 0x5f, 0xfd), EMULATE_DONE);
	CHECK_EQ(m.v.regs.gpr[RBX], 0x8877665544332211);
	/* the second page is missing: nothing is accessed. mov [rdi+0x1ffd], rax */
	m.v.regs.rip = CODE;
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 0x1ffd, true, 0x48, 0x89, 0x87, 0xfd, 0x1f, 0, 0),
		 EMULATE_FAULT);
	CHECK(faulted(EXC_PF, PF_WRITE));
	CHECK_EQ(m.v.regs.cr2, LONG_MMIO + 0x2000);
	CHECK_EQ(m.logged, 0);
	machine_free(&m);
}

/* Within a page an unaligned access is one access; vectors come as words of 8. */
TEST(pieces)
{
	start_long();
	m.v.regs.gpr[RAX] = 0x8877665544332211;
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 3, true, 0x48, 0x89, 0x47, 3), EMULATE_DONE);
	CHECK_EQ(m.logged, 1);
	CHECK(logged(0, true, MACHINE_MMIO + 3, 8, 0x8877665544332211));
	memset(fake_simd[2], 0xab, 32);
	/* movups [rdi+4], xmm2 */
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 4, true, 0x0f, 0x11, 0x57, 4), EMULATE_DONE);
	CHECK_EQ(m.logged, 2);
	CHECK(logged(0, true, MACHINE_MMIO + 4, 8, 0xabababababababab));
	CHECK(logged(1, true, MACHINE_MMIO + 12, 8, 0xabababababababab));
	/* vmovdqu [rdi+0x20], ymm2 */
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 0x20, true, 0xc5, 0xfe, 0x7f, 0x57, 0x20), EMULATE_DONE);
	CHECK_EQ(m.logged, 4);
	CHECK(logged(3, true, MACHINE_MMIO + 0x38, 8, 0xabababababababab));
	machine_free(&m);
}

/* Reads of ROM come from memory, writes go to the bus, which has nobody there. */
TEST(rom)
{
	start_long();
	machine_map(&m, LONG_MMIO, MACHINE_ROM, 6);
	m.rom[0x10] = 0x41;
	CHECK_EQ(RUN(&m, MACHINE_ROM + 0x10, true, 0xc6, 0x47, 0x10, 5), EMULATE_DONE);
	CHECK(logged(0, true, MACHINE_ROM + 0x10, 1, 5));
	CHECK_EQ(RUN(&m, MACHINE_ROM + 0x10, true, 0x80, 0x4f, 0x10, 2), EMULATE_DONE); /* or */
	CHECK(logged(0, true, MACHINE_ROM + 0x10, 1, 0x43));
	CHECK_EQ(m.rom[0x10], 0x41);
	machine_free(&m);
}

TEST(canonical)
{
	start_long();
	m.v.regs.gpr[RDI] = 0x800000000000;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x89, 0x07), EMULATE_FAULT);
	CHECK(faulted(EXC_GP, 0));
	m.v.regs.gpr[RDI] = 0x7ffffffffffe; /* its last byte is not */
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x89, 0x07), EMULATE_FAULT);
	CHECK(faulted(EXC_GP, 0));
	m.v.regs.gpr[RBP] = 0x800000000000;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x89, 0x45, 0), EMULATE_FAULT); /* [rbp] is in SS */
	CHECK(faulted(EXC_SS, 0));
	machine_free(&m);
}

TEST(segment_bases_long)
{
	start_long();
	m.v.regs.fs.base = LONG_MMIO - 0x10000;
	m.v.regs.gs.base = LONG_MMIO - 0x20000;
	m.v.regs.ds.base = 0x1000; /* has no effect in 64-bit code */
	m.v.regs.gpr[RBX] = 0x10040;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x64, 0x89, 0x03), EMULATE_DONE);
	CHECK(logged(0, true, MACHINE_MMIO + 0x40, 4, 0));
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x65, 0x89, 0x83, 0, 0, 1, 0), EMULATE_DONE);
	CHECK(logged(0, true, MACHINE_MMIO + 0x40, 4, 0));
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x3e, 0x89, 0x07), EMULATE_DONE);
	CHECK(logged(0, true, MACHINE_MMIO, 4, 0));
	/* rep lodsb from gs:, and an ignored cs: */
	m.v.regs.gpr[RSI] = 0x20001;
	m.v.regs.gpr[RCX] = 2;
	m.mmio[2] = 0x77;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0x65, 0x2e, 0xf3, 0xac), EMULATE_DONE);
	CHECK_EQ(m.v.regs.gpr[RAX], 0x77);
	machine_free(&m);
}

/* --- faults leave no trace --- */

TEST(write_protected_operand)
{
	start_long();
	machine_map(&m, LONG_MMIO, MACHINE_MMIO, 4);
	m.v.regs.gpr[RAX] = 7;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0x87, 0x07), EMULATE_FAULT); /* xchg [rdi], eax */
	CHECK(faulted(EXC_PF, PF_PRESENT | PF_WRITE));
	CHECK_EQ(m.v.regs.gpr[RAX], 7);
	CHECK_EQ(m.logged, 0);
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0x0f, 0xc1, 0x07), EMULATE_FAULT); /* xadd */
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0x09, 0x07), EMULATE_FAULT);	 /* or */
	CHECK_EQ(RUN(&m, MACHINE_MMIO, false, 0x85, 0x07), EMULATE_DONE); /* test only reads */
	machine_free(&m);
}

TEST(alignment_check)
{
	start_long();
	machine_set_cpl(&m, 3);
	m.v.regs.cr0 |= CR0_AM;
	m.v.regs.rflags |= RFLAGS_AC;
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 2, true, 0x89, 0x47, 2), EMULATE_FAULT);
	CHECK(faulted(EXC_AC, 0));
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 4, true, 0x89, 0x47, 4), EMULATE_DONE);
	m.v.regs.rip = CODE;
	m.v.regs.rflags &= ~(uint64_t)RFLAGS_AC;
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 2, true, 0x89, 0x47, 2), EMULATE_DONE);
	machine_free(&m);
}

TEST(simd_faults)
{
	start_long();
	/* movaps [rdi+8], xmm0 */
	CHECK_EQ(RUN(&m, MACHINE_MMIO + 8, true, 0x0f, 0x29, 0x47, 8), EMULATE_FAULT);
	CHECK(faulted(EXC_GP, 0));
	m.v.regs.cr0 |= CR0_TS;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x0f, 0x29, 0x07), EMULATE_FAULT);
	CHECK(faulted(EXC_NM, 0) && !m.e.fault.has_error);
	m.v.regs.cr0 ^= CR0_TS | CR0_EM;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x0f, 0x29, 0x07), EMULATE_FAULT);
	CHECK(faulted(EXC_UD, 0));
	m.v.regs.cr0 &= ~(uint64_t)CR0_EM;
	m.v.regs.cr4 &= ~(uint64_t)CR4_OSFXSR;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x0f, 0x29, 0x07), EMULATE_FAULT);
	CHECK(faulted(EXC_UD, 0));
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0x0f, 0x7f, 0x07), EMULATE_DONE); /* movq [rdi], mm0 */
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0xc5, 0xf8, 0x11, 0x07), EMULATE_DONE);
	m.v.regs.rip = CODE;
	fake_host.xcr0 = 3;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0xc5, 0xf8, 0x11, 0x07), EMULATE_FAULT);
	CHECK(faulted(EXC_UD, 0));
	fake_host.xcr0 = 7;
	m.v.regs.cr4 &= ~(uint64_t)CR4_OSXSAVE;
	CHECK_EQ(RUN(&m, MACHINE_MMIO, true, 0xc5, 0xf8, 0x11, 0x07), EMULATE_FAULT);
	CHECK(faulted(EXC_UD, 0));
	machine_free(&m);
}
