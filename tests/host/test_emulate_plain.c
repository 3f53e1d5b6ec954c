/*
 * The short way of the emulator: it gives what the long one gives, and is left when anything that
 * the guest may have changed is not as it was.
 */
#include "tests/fake/emulate_rig.h"
#include "tests/fake/rng.h"
#include "tests/host/test.h"

#define STORE_EAX 0x89, 0x47, 0x10 /* mov [rdi+0x10], eax */
#define STORE_ECX 0x89, 0x4f, 0x10 /* mov [rdi+0x10], ecx */
#define AT	  (MACHINE_MMIO + 0x10)

/* Runs what is at CODE once more, and tells whether it went the short way. */
static bool again(enum emulate_result expected)
{
	unsigned before = m.plain;

	m.v.regs.rip = CODE;
	m.logged = 0;
	CHECK_EQ(machine_emulate(&m), expected);
	return m.plain != before;
}

/* STORE_EAX has run twice, the second time the short way. */
static void start_plain(void)
{
	start_long();
	m.v.regs.gpr[RAX] = 0x11111111;
	m.v.regs.gpr[RCX] = 0x22222222;
	CHECK_EQ(RUN(&m, AT, true, STORE_EAX), EMULATE_DONE);
	CHECK_EQ(m.plain, 0);
	CHECK(again(EMULATE_DONE));
	CHECK(logged(0, true, AT, 4, 0x11111111));
	CHECK_EQ(m.v.regs.rip, CODE + 3);
}

static void put_code(uint64_t at, const uint8_t *code, size_t n)
{
	memcpy(m.ram + at, code, n);
}
#define PUT(at, ...)                                                                               \
	put_code(at, (const uint8_t[]){__VA_ARGS__}, sizeof((const uint8_t[]){__VA_ARGS__}))

TEST(the_second_time_is_short)
{
	start_plain();
	machine_free(&m);
}

TEST(the_guest_changes_its_code)
{
	start_plain();
	PUT(CODE, STORE_ECX);
	CHECK(!again(EMULATE_DONE));
	CHECK(logged(0, true, AT, 4, 0x22222222));
	CHECK(again(EMULATE_DONE));
	CHECK(logged(0, true, AT, 4, 0x22222222));
	PUT(CODE, 0xc7, 0x47, 0x10, 1, 2, 3, 4); /* mov dword [rdi+0x10], 0x04030201 */
	CHECK(!again(EMULATE_DONE));
	CHECK(again(EMULATE_DONE));
	CHECK(logged(0, true, AT, 4, 0x04030201));
	m.ram[CODE + 6] = 5; /* only its last byte */
	CHECK(!again(EMULATE_DONE));
	CHECK(logged(0, true, AT, 4, 0x05030201));
	CHECK_EQ(m.v.regs.rip, CODE + 7);
	/* what follows the instruction does not matter */
	m.ram[CODE + 7] ^= 0xff;
	CHECK(again(EMULATE_DONE));
	machine_free(&m);
}

TEST(the_guest_maps_other_code)
{
	start_plain();
	PUT(0x7000, STORE_ECX);
	machine_map(&m, CODE, 0x7000, 6);
	CHECK(!again(EMULATE_DONE));
	CHECK(logged(0, true, AT, 4, 0x22222222));
	*(uint64_t *)machine_entry(&m, CODE, 1) = 0;
	CHECK(!again(EMULATE_FAULT));
	CHECK(faulted(EXC_PF, PF_FETCH));
	machine_map(&m, CODE, MACHINE_MMIO, 6);
	CHECK(!again(EMULATE_UNKNOWN)); /* code that is not in RAM */
	machine_free(&m);
}

/* The same tables at another place, but for the entry of va. */
static uint64_t clone_tables(uint64_t va, uint64_t to)
{
	uint64_t top = m.tables, entry;

	for (unsigned level = 4; level >= 1; level--) {
		uint64_t from = (uint64_t)((uint8_t *)machine_entry(&m, va, level) - m.ram);

		memcpy(m.ram + m.tables, m.ram + (from & ~PAGE_MASK), PAGE_SIZE);
		entry = (level == 1 ? to : m.tables + PAGE_SIZE) | 7;
		memcpy(m.ram + m.tables + (from & PAGE_MASK), &entry, sizeof(entry));
		m.tables += PAGE_SIZE;
	}
	return top;
}

TEST(another_address_space)
{
	uint64_t other, cr3;

	start_plain();
	cr3 = m.v.regs.cr3;
	PUT(0x7000, STORE_ECX);
	other = clone_tables(CODE, 0x7000);
	m.v.regs.cr3 = other;
	CHECK(!again(EMULATE_DONE));
	CHECK(logged(0, true, AT, 4, 0x22222222));
	m.v.regs.cr3 = cr3;
	CHECK(!again(EMULATE_DONE));
	CHECK(logged(0, true, AT, 4, 0x11111111));
	machine_free(&m);
}

TEST(another_privilege)
{
	start_plain();
	machine_set_cpl(&m, 3);
	CHECK(!again(EMULATE_DONE)); /* a user page: it is walked again, and fine */
	CHECK(again(EMULATE_DONE));
	*(uint64_t *)machine_entry(&m, CODE, 1) &= ~4ull;
	CHECK(!again(EMULATE_FAULT));
	CHECK(faulted(EXC_PF, PF_PRESENT | PF_USER | PF_FETCH));
	machine_set_cpl(&m, 0);
	CHECK(!again(EMULATE_DONE));
	CHECK(again(EMULATE_DONE));
	machine_set_cpl(&m, 3); /* its page has not changed, and is the supervisor's */
	CHECK(!again(EMULATE_FAULT));
	machine_free(&m);
}

TEST(another_mode)
{
	start_plain();
	m.v.regs.cr4 |= CR4_SMEP; /* user code at CPL 0 */
	CHECK(!again(EMULATE_FAULT));
	m.v.regs.cr4 &= ~(uint64_t)CR4_SMEP;
	CHECK(!again(EMULATE_DONE));
	CHECK(again(EMULATE_DONE));
	*(uint64_t *)machine_entry(&m, CODE, 1) |= NX_BIT;
	CHECK(!again(EMULATE_FAULT));
	m.v.regs.efer &= ~(uint64_t)EFER_NXE; /* then the bit is reserved */
	CHECK(!again(EMULATE_FAULT));
	CHECK(faulted(EXC_PF, PF_PRESENT | PF_RESERVED));
	machine_free(&m);
	/* 48 89 47 10 is one instruction in 64-bit code, in other code it begins with DEC EAX */
	start_long();
	CHECK_EQ(RUN(&m, AT, true, 0x48, 0x89, 0x47, 0x10), EMULATE_DONE);
	CHECK(again(EMULATE_DONE));
	m.v.regs.cs.ar = (m.v.regs.cs.ar & ~(uint32_t)SEG_L) | SEG_DB;
	CHECK(!again(EMULATE_RETRY));
	CHECK_EQ(m.logged, 0);
	machine_free(&m);
}

TEST(what_is_not_a_plain_move)
{
	start_long();
	m.mmio[0x10] = 0x12;
	for (unsigned i = 0; i < 2; i++) { /* movbe eax, [rdi+0x10] */
		m.v.regs.rip = CODE;
		CHECK_EQ(RUN(&m, AT, false, 0x0f, 0x38, 0xf0, 0x47, 0x10), EMULATE_DONE);
		CHECK_EQ(m.v.regs.gpr[RAX], 0x12000000);
	}
	m.v.regs.gpr[RAX] = 1;
	for (unsigned i = 0; i < 2; i++) { /* add [rdi+0x10], eax */
		m.v.regs.rip = CODE;
		CHECK_EQ(RUN(&m, AT, true, 0x01, 0x47, 0x10), EMULATE_DONE);
	}
	CHECK_EQ(m.mmio[0x10], 0x14);
	CHECK_EQ(m.plain, 0);
	machine_free(&m);
}

/* What does not agree with the exit, or is more than one aligned access, goes the long way. */
TEST(other_operands)
{
	start_plain();
	m.e.write = false;
	CHECK(!again(EMULATE_DONE));
	m.e.write = true;
	m.e.gpa = gpa(AT + 4); /* as when the bytes are not those that the CPU ran */
	CHECK(!again(EMULATE_DONE));
	CHECK(logged(0, true, AT, 4, 0x11111111));
	m.v.regs.gpr[RDI] = LONG_MMIO + 1;
	m.e.gpa = gpa(AT + 1);
	CHECK(!again(EMULATE_DONE));
	CHECK(logged(0, true, AT + 1, 4, 0x11111111));
	m.v.regs.gpr[RDI] = LONG_MMIO + PAGE_SIZE - 0x12; /* two bytes in each page */
	m.e.gpa = gpa(MACHINE_MMIO + PAGE_SIZE - 2);
	CHECK(!again(EMULATE_DONE));
	CHECK(m.logged >= 2);
	m.e.gpa = gpa(AT);
	m.v.regs.gpr[RDI] = LONG_MMIO;
	CHECK(again(EMULATE_DONE));
	machine_free(&m);
}

TEST(code_at_the_end_of_its_page)
{
	start_long();
	for (unsigned left = 20; left; left--) {
		unsigned before = m.plain;

		for (unsigned i = 0; i < 2; i++) {
			m.v.regs.rip = CODE + PAGE_SIZE - left;
			m.v.regs.gpr[RAX] = left;
			CHECK_EQ(RUN(&m, AT, true, STORE_EAX), EMULATE_DONE);
			CHECK(logged(0, true, AT, 4, left));
			CHECK_EQ(m.v.regs.rip, CODE + PAGE_SIZE - left + 3);
		}
		CHECK_EQ(m.plain - before, left >= 16);
	}
	machine_free(&m);
}

/* Loads and stores that are plain, one byte beyond the opcode's ModRM of [rdi+0x10]. */
static const struct {
	uint8_t code[9];
	uint8_t len;
	bool write;
} forms[] = {
	{{0x88, 0x67, 0x10}, 3, true},			    /* mov [], ah */
	{{0x44, 0x88, 0x47, 0x10}, 4, true},		    /* mov [], r8b */
	{{0x66, 0x89, 0x5f, 0x10}, 4, true},		    /* mov [], bx */
	{{0x89, 0x5f, 0x10}, 3, true},			    /* mov [], ebx */
	{{0x4c, 0x89, 0x4f, 0x10}, 4, true},		    /* mov [], r9 */
	{{0xc6, 0x47, 0x10, 0x85}, 4, true},		    /* mov byte [], imm */
	{{0x66, 0xc7, 0x47, 0x10, 0x34, 0x92}, 6, true},    /* mov word [], imm */
	{{0x48, 0xc7, 0x47, 0x10, 1, 2, 3, 0x84}, 8, true}, /* mov qword [], imm */
	{{0x0f, 0xc3, 0x4f, 0x10}, 4, true},		    /* movnti [], ecx */
	{{0x8a, 0x6f, 0x10}, 3, false},			    /* mov ch, [] */
	{{0x40, 0x8a, 0x6f, 0x10}, 4, false},		    /* mov bpl, [] */
	{{0x66, 0x8b, 0x57, 0x10}, 4, false},		    /* mov dx, [] */
	{{0x8b, 0x57, 0x10}, 3, false},			    /* mov edx, [] */
	{{0x4c, 0x8b, 0x7f, 0x10}, 4, false},		    /* mov r15, [] */
	{{0x0f, 0xb6, 0x47, 0x10}, 4, false},		    /* movzx eax, byte [] */
	{{0x66, 0x0f, 0xbe, 0x47, 0x10}, 5, false},	    /* movsx ax, byte [] */
	{{0x48, 0x0f, 0xbf, 0x47, 0x10}, 5, false},	    /* movsx rax, word [] */
	{{0x48, 0x63, 0x47, 0x10}, 4, false},		    /* movsxd rax, dword [] */
	{{0x67, 0x8b, 0x44, 0xb7, 0x10}, 5, false},	    /* mov eax, [edi+4*esi+0x10] */
	{{0x42, 0x8b, 0x44, 0xe7, 0x10}, 5, false},	    /* mov eax, [rdi+8*r12+0x10] */
};

/* The long way with a cold cache, the short one with a warm one: the same registers and accesses.
 */
TEST(short_and_long_agree)
{
	static struct machine other;
	unsigned runs = 0;

	for (size_t f = 0; f < ARRAY_SIZE(forms); f++) {
		for (unsigned i = 0; i < 200; i++) {
			uint64_t gpr[16];
			unsigned before;

			start_long();
			for (unsigned r = 0; r < 16; r++) {
				gpr[r] = rng_next();
			}
			gpr[RDI] = LONG_MMIO;
			gpr[RSI] = gpr[R12] = 0;
			for (unsigned b = 0; b < 8; b++) {
				m.mmio[0x10 + b] = (uint8_t)rng_next();
			}
			if (forms[f].code[0] == 0x67) { /* the operand lies below 4 GiB */
				machine_map(&m, 0x10000000, MACHINE_MMIO, 6);
				gpr[RDI] = 0x7700000010000000;
			}
			memcpy(m.v.regs.gpr, gpr, sizeof(gpr));
			CHECK_EQ(machine_run(&m, forms[f].code, forms[f].len, AT, forms[f].write),
				 EMULATE_DONE);
			CHECK_EQ(m.plain, 0);
			other.v.regs = m.v.regs;
			other.log[0] = m.log[0];
			other.logged = m.logged;
			memcpy(m.v.regs.gpr, gpr, sizeof(gpr));
			before = m.plain;
			runs += again(EMULATE_DONE);
			CHECK_EQ(m.plain, before + 1);
			CHECK(!memcmp(&m.v.regs, &other.v.regs, sizeof(m.v.regs)));
			CHECK(m.logged == 1 && other.logged == 1);
			CHECK(logged(0, other.log[0].write, other.log[0].at, other.log[0].size,
				     other.log[0].value));
			machine_free(&m);
		}
	}
	CHECK_EQ(runs, ARRAY_SIZE(forms) * 200);
}
