/*
 * The arithmetic of the emulator; see emulate_alu.h.
 *
 * The carry out of each bit position is found from operands and result, which gives CF, AF and OF
 * of every width at once (Warren, Hacker's Delight, "Overflow Detection").
 */
#include "hv/emulate_alu.h"
#include "hv/vcpu.h"

enum { FLAGS_ARITH = RFLAGS_CF | RFLAGS_PF | RFLAGS_AF | RFLAGS_ZF | RFLAGS_SF | RFLAGS_OF };

static uint64_t flags_of_result(unsigned size, uint64_t r)
{
	uint64_t f = 0;

	if (!__builtin_parity((unsigned)r & 0xff)) {
		f |= RFLAGS_PF;
	}
	if (!(r & alu_mask(size))) {
		f |= RFLAGS_ZF;
	}
	if (r >> (8 * size - 1) & 1) {
		f |= RFLAGS_SF;
	}
	return f;
}

/* carries: the carry or borrow out of each bit; overflow: the sign bit tells. */
static uint64_t flags_of_sum(unsigned size, uint64_t r, uint64_t carries, uint64_t overflow)
{
	unsigned sign = 8 * size - 1;
	uint64_t f = flags_of_result(size, r);

	f |= carries >> sign & 1 ? RFLAGS_CF : 0;
	f |= carries >> 3 & 1 ? RFLAGS_AF : 0;
	f |= overflow >> sign & 1 ? RFLAGS_OF : 0;
	return f;
}

static uint64_t add(unsigned size, uint64_t a, uint64_t b, uint64_t carry, uint64_t *flags)
{
	uint64_t r = a + b + carry;

	*flags = flags_of_sum(size, r, (a & b) | ((a | b) & ~r), (a ^ r) & (b ^ r));
	return r;
}

static uint64_t subtract(unsigned size, uint64_t a, uint64_t b, uint64_t borrow, uint64_t *flags)
{
	uint64_t r = a - b - borrow;

	*flags = flags_of_sum(size, r, (~a & b) | ((~a | b) & r), (a ^ b) & (a ^ r));
	return r;
}

static uint64_t logic(unsigned size, uint64_t r, uint64_t *flags)
{
	*flags = flags_of_result(size, r);
	return r;
}

static uint64_t bit(enum alu_op op, unsigned size, uint64_t a, uint64_t b, uint64_t *rflags)
{
	uint64_t mask = BIT(b & (8 * size - 1));

	*rflags = (*rflags & ~RFLAGS_CF) | (a & mask ? RFLAGS_CF : 0);
	switch (op) {
	case ALU_BTS: return a | mask;
	case ALU_BTR: return a & ~mask;
	case ALU_BTC: return a ^ mask;
	default: return a;
	}
}

uint64_t alu(enum alu_op op, unsigned size, uint64_t a, uint64_t b, uint64_t *rflags)
{
	uint64_t changed = FLAGS_ARITH, carry = *rflags & RFLAGS_CF, flags = 0, r = a;

	switch (op) {
	case ALU_ADD: r = add(size, a, b, 0, &flags); break;
	case ALU_ADC: r = add(size, a, b, carry, &flags); break;
	case ALU_SUB:
	case ALU_CMP: r = subtract(size, a, b, 0, &flags); break;
	case ALU_SBB: r = subtract(size, a, b, carry, &flags); break;
	case ALU_NEG: r = subtract(size, 0, a, 0, &flags); break;
	case ALU_OR: r = logic(size, a | b, &flags); break;
	case ALU_XOR: r = logic(size, a ^ b, &flags); break;
	case ALU_AND:
	case ALU_TEST: r = logic(size, a & b, &flags); break;
	case ALU_INC:
		r = add(size, a, 1, 0, &flags);
		changed &= ~RFLAGS_CF;
		break;
	case ALU_DEC:
		r = subtract(size, a, 1, 0, &flags);
		changed &= ~RFLAGS_CF;
		break;
	case ALU_NOT: return ~a & alu_mask(size);
	case ALU_BT:
	case ALU_BTS:
	case ALU_BTR:
	case ALU_BTC: return bit(op, size, a, b, rflags) & alu_mask(size);
	}
	*rflags = (*rflags & ~changed) | (flags & changed);
	return r & alu_mask(size);
}
