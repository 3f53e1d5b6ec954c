/* alu() against the real CPU, flag for flag, over random operands. */
#include "hv/emulate_alu.h"
#include "hv/vcpu.h"
#include "tests/host/test.h"

enum { ROUNDS = 20000, FLAGS = 0x8d5 };

/* Loads `flags`, runs one instruction on a (RAX) and b (RDX), reads the flags back; the red zone is
 * stepped over. */
#define NATIVE(insn)                                                                               \
	__asm__ volatile("lea -128(%%rsp), %%rsp\n\tpush %1\n\tpopfq\n\t" insn                     \
			 "\n\tpushfq\n\tpop %1\n\tlea 128(%%rsp), %%rsp"                           \
			 : "+a"(a), "+r"(flags)                                                    \
			 : "d"(b)                                                                  \
			 : "cc", "memory")

struct result {
	uint64_t value, flags;
};

/* clang-format off */
#define TWO(name) \
	static struct result native_##name(unsigned size, uint64_t a, uint64_t b, uint64_t flags) \
	{ \
		switch (size) { \
		case 1: NATIVE(#name "b %%dl, %%al"); break; \
		case 2: NATIVE(#name "w %%dx, %%ax"); break; \
		case 4: NATIVE(#name "l %%edx, %%eax"); break; \
		default: NATIVE(#name "q %%rdx, %%rax"); \
		} \
		return (struct result){a, flags}; \
	}
#define ONE(name) \
	static struct result native_##name(unsigned size, uint64_t a, uint64_t b, uint64_t flags) \
	{ \
		switch (size) { \
		case 1: NATIVE(#name "b %%al"); break; \
		case 2: NATIVE(#name "w %%ax"); break; \
		case 4: NATIVE(#name "l %%eax"); break; \
		default: NATIVE(#name "q %%rax"); \
		} \
		return (struct result){a, flags}; \
	}
#define BITS(name) \
	static struct result native_##name(unsigned size, uint64_t a, uint64_t b, uint64_t flags) \
	{ \
		switch (size) { \
		case 2: NATIVE(#name "w %%dx, %%ax"); break; \
		case 4: NATIVE(#name "l %%edx, %%eax"); break; \
		default: NATIVE(#name "q %%rdx, %%rax"); \
		} \
		return (struct result){a, flags}; \
	}
TWO(add) TWO(or) TWO(adc) TWO(sbb) TWO(and) TWO(sub) TWO(xor) TWO(cmp) TWO(test)
ONE(inc) ONE(dec) ONE(not) ONE(neg)
BITS(bt) BITS(bts) BITS(btr) BITS(btc)

static const struct {
	const char *name;
	enum alu_op op;
	unsigned smallest;
	struct result (*native)(unsigned size, uint64_t a, uint64_t b, uint64_t flags);
} ops[] = {
	{"add", ALU_ADD, 1, native_add},
	{"or", ALU_OR, 1, native_or},
	{"adc", ALU_ADC, 1, native_adc},
	{"sbb", ALU_SBB, 1, native_sbb},
	{"and", ALU_AND, 1, native_and},
	{"sub", ALU_SUB, 1, native_sub},
	{"xor", ALU_XOR, 1, native_xor},
	{"cmp", ALU_CMP, 1, native_cmp},
	{"test", ALU_TEST, 1, native_test},
	{"inc", ALU_INC, 1, native_inc},
	{"dec", ALU_DEC, 1, native_dec},
	{"not", ALU_NOT, 1, native_not},
	{"neg", ALU_NEG, 1, native_neg},
	{"bt", ALU_BT, 2, native_bt},
	{"bts", ALU_BTS, 2, native_bts},
	{"btr", ALU_BTR, 2, native_btr},
	{"btc", ALU_BTC, 2, native_btc},
};
/* clang-format on */

static uint64_t next_random(void)
{
	static uint64_t x = 88172645463325252;

	x ^= x << 13;
	x ^= x >> 7;
	x ^= x << 17;
	return x;
}

/* Small differences from powers of two in every other value: that is where carries change. */
static uint64_t operand_value(void)
{
	uint64_t r = next_random();

	return r & 1 ? next_random() : (1ull << (r >> 8 & 63)) + (r >> 16 & 7) - 4;
}

static bool agrees(unsigned i, unsigned size)
{
	uint64_t a = operand_value(), b = next_random() & 7 ? operand_value() : a;
	uint64_t flags = (next_random() & FLAGS) | RFLAGS_1 | RFLAGS_IF, emulated_flags = flags;
	struct result native = ops[i].native(size, a, b, flags);
	uint64_t value = alu(ops[i].op, size, a, b, &emulated_flags);
	bool good = emulated_flags == (native.flags & (FLAGS | RFLAGS_1 | RFLAGS_IF)) &&
		    (!alu_writes(ops[i].op) || value == (native.value & alu_mask(size))) &&
		    value <= alu_mask(size);

	if (!good) {
		printf("%s%u %llx, %llx, flags %llx: native %llx flags %llx, emulated %llx flags "
		       "%llx\n",
		       ops[i].name, size * 8, (unsigned long long)a, (unsigned long long)b,
		       (unsigned long long)flags, (unsigned long long)native.value,
		       (unsigned long long)native.flags, (unsigned long long)value,
		       (unsigned long long)emulated_flags);
	}
	return good;
}

TEST(all)
{
	for (unsigned i = 0; i < ARRAY_SIZE(ops); i++) {
		for (unsigned size = ops[i].smallest; size <= 8; size *= 2) {
			bool good = true;

			for (unsigned n = 0; n < ROUNDS && good; n++) {
				good = agrees(i, size);
			}
			CHECK(good);
		}
	}
}

TEST(sign_extend)
{
	CHECK_EQ(alu_sign_extend(0x80, 1), 0xffffffffffffff80);
	CHECK_EQ(alu_sign_extend(0xff7f, 1), 0x7f);
	CHECK_EQ(alu_sign_extend(0x80000000, 4), 0xffffffff80000000);
	CHECK_EQ(alu_sign_extend(0x8000000000000000, 8), 0x8000000000000000);
}
