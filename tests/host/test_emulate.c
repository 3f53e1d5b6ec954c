/* The emulator's rules case by case; results of ordinary operands: test_emulate_native.c. */
#include "tests/fake/fake_host.h"
#include "tests/fake/fake_simd.h"
#include "tests/fake/machine.h"
#include "tests/host/test.h"

#define CODE	  0x1000ull
#define NX_BIT	  BIT(63)
#define LONG_MMIO 0xffff800012340000ull /* a linear address that maps MACHINE_MMIO in long mode */

#define RUN(m, gpa, write, ...)                                                                    \
	machine_run(m, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}),     \
		    gpa, write)

static struct machine m;

static void start_long(void)
{
	machine_init(&m, MACHINE_LONG);
	machine_map(&m, CODE, CODE, 6);
	machine_map(&m, CODE + PAGE_SIZE, CODE + PAGE_SIZE, 6);
	machine_map(&m, LONG_MMIO, MACHINE_MMIO, 6);
	machine_map(&m, LONG_MMIO + PAGE_SIZE, MACHINE_MMIO + PAGE_SIZE, 6);
	m.v.regs.rip = CODE;
	m.v.regs.gpr[RDI] = LONG_MMIO;
}

static bool logged(unsigned i, bool write, uint64_t at, unsigned size, uint64_t value)
{
	const struct machine_access *a = &m.log[i];

	return i < m.logged && !a->port && a->write == write && a->at == at && a->size == size &&
	       a->value == value;
}

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

static bool faulted(unsigned vector, uint32_t error)
{
	return m.e.fault.valid && m.e.fault.type == EVENT_EXC && m.e.fault.vector == vector &&
	       m.e.fault.error == error;
}

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

/* --- 16- and 32-bit code --- */

static void start_mode(enum machine_mode mode)
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
