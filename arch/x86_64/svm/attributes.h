/*
 * Segment attributes between the VMCB's form and the neutral one, which is the VMCS's. Pure.
 */
#pragma once

#include "hv/vcpu.h"

enum {
	ATTRIBUTES_LOW = FIELD(7, 0),	/* type, S, DPL, P: the same in both */
	ATTRIBUTES_HIGH = FIELD(11, 8), /* AVL, L, D/B, G: at 15:12 in the neutral form */
	ATTRIBUTES_GAP = 4,
	ATTRIBUTES_LONG = BIT(9), /* L */
};

/* The VMCB has no "unusable": a segment that is not present is. */
static inline uint16_t attributes_encode(uint32_t ar)
{
	uint32_t a = (ar & ATTRIBUTES_LOW) | (ar >> ATTRIBUTES_GAP & ATTRIBUTES_HIGH);

	return (uint16_t)(ar & SEG_UNUSABLE ? a & ~(uint32_t)SEG_P : a);
}

static inline uint32_t attributes_decode(uint16_t a)
{
	uint32_t ar = (a & ATTRIBUTES_LOW) | (uint32_t)(a & ATTRIBUTES_HIGH) << ATTRIBUTES_GAP;

	return a & SEG_P ? ar : ar | SEG_UNUSABLE;
}
