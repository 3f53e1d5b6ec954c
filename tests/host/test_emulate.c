/* The emulator's rules case by case; results of ordinary operands: test_emulate_native.c. */
#include "tests/fake/fake_simd.h"
#include "tests/fake/machine.h"
#include "tests/host/test.h"

#define CODE	  0x1000ull
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
