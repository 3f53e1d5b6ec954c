/*
 * The arithmetic of the emulator: operands and flags in, result and flags out, nothing else.
 *
 * Flags that the manuals leave undefined come out as Intel's and AMD's CPUs leave them, which the
 * tests compare with the real CPU: AF is cleared by logic, BT and its kin change CF only.
 */
#pragma once

#include "hv/types.h"

enum alu_op {
	ALU_ADD,
	ALU_OR,
	ALU_ADC,
	ALU_SBB,
	ALU_AND,
	ALU_SUB,
	ALU_XOR,
	ALU_CMP,
	ALU_TEST,
	ALU_INC,
	ALU_DEC,
	ALU_NOT,
	ALU_NEG,
	ALU_BT,
	ALU_BTS,
	ALU_BTR,
	ALU_BTC
};

/* Whether the operation only sets flags. */
static inline bool alu_writes(enum alu_op op)
{
	return op != ALU_CMP && op != ALU_TEST && op != ALU_BT;
}

/* The low `size` bytes (1, 2, 4, 8). */
static inline uint64_t alu_mask(unsigned size)
{
	return ~0ull >> (64 - 8 * size);
}

/* The sign extension of the low `size` bytes. */
static inline uint64_t alu_sign_extend(uint64_t v, unsigned size)
{
	return (uint64_t)((int64_t)(v << (64 - 8 * size)) >> (64 - 8 * size));
}

/*
 * a OP b for operands of `size` bytes; bits above them are ignored and come out as zeros.
 * One-operand operations ignore b; for the BT family b is the bit number. *rflags is read (CF) and
 * updated.
 */
uint64_t alu(enum alu_op op, unsigned size, uint64_t a, uint64_t b, uint64_t *rflags);
