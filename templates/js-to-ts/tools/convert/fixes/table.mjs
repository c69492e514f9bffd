// The fixes for each error of the compiler, the best first.

import * as annotations from './annotations.mjs';
import * as casts from './casts.mjs';
import * as names from './names.mjs';

const { annotateAny, annotateBoth, assertAssigned, declareArray, declareThis, declareThisOfLiteral } = annotations;
const { loosenDeclaration, loosenPattern, makeDictionary, makeOptional, restAny, returnAny, returnMaybe, widenDeclared } = annotations;
const { assertPresent, castCallee, castChainStart, castLiteral, castObject, castOperand, castOtherOperand, castReceiver, castTarget, castValue } = casts;
const { anyForUnknownType, declareGlobal, fillTypeArguments, typeOfModule, useTheTypeMeant } = names;

const titles = new Map([
  [useTheTypeMeant, 'the type that was meant'],
  [typeOfModule, 'the type that was meant'],
  [fillTypeArguments, 'type arguments filled in'],
  [anyForUnknownType, 'no such type, `any` instead'],
  [declareGlobal, 'declared as a global'],
  [annotateAny, 'annotated `any`'],
  [annotateBoth, 'annotated `any`'],
  [restAny, 'annotated `any[]`'],
  [returnAny, 'returns `any`'],
  [returnMaybe, 'may return undefined'],
  [declareThis, '`this` declared'],
  [declareThisOfLiteral, '`this` declared'],
  [makeDictionary, 'declared as a dictionary'],
  [loosenPattern, 'declared as a dictionary'],
  [loosenDeclaration, 'declared as `any`'],
  [declareArray, 'declared as an array'],
  [makeOptional, 'parameter made optional'],
  [assertAssigned, 'asserted to be assigned'],
  [widenDeclared, 'declared type widened'],
  [assertPresent, 'asserted to be there'],
]);

export const castTitle = 'cast where it is used';
export const titleOf = (fix) => titles.get(fix) ?? castTitle;

const table = [
  [[1064], [useTheTypeMeant, returnAny]],
  [[1340], [typeOfModule, anyForUnknownType]],
  [[2314, 2707], [fillTypeArguments, anyForUnknownType]],
  [[2304, 2552], [useTheTypeMeant, declareGlobal, anyForUnknownType]],
  [[1110, 2315, 2344, 2503, 2694, 2709, 2749, 8020, 8028, 17020], [useTheTypeMeant, anyForUnknownType]],
  [[7005, 7006, 7019, 7031, 7034, 7051], [annotateAny]],
  [[7008, 7022], [annotateAny, castObject]],
  [[2370], [restAny]],
  [[2403], [annotateBoth]],
  [[7010, 7011, 7023, 7024, 2355], [returnAny]],
  [[2366], [returnMaybe, returnAny]],
  [[2526], [anyForUnknownType]],
  [[2683], [declareThis]],
  [[7015, 7017, 7052, 7053], [declareThisOfLiteral, makeDictionary, loosenDeclaration, castObject, castChainStart]],
  [[2339, 2550, 2551], [loosenPattern, declareThisOfLiteral, declareArray, makeDictionary, loosenDeclaration, castObject, castChainStart]],
  [[2540, 2704, 2790], [castObject]],
  [[2531, 2532, 2533, 18047, 18048, 18049, 2721, 2722, 2723], [assertPresent, loosenDeclaration, castValue]],
  [[2571, 18046], [loosenDeclaration, castValue]],
  [[2454], [assertAssigned, annotateAny]],
  [[2554, 2555, 2556, 2575], [makeOptional, castCallee]],
  [[2322, 2345, 2559, 2739, 2740, 2741, 2769], [declareArray, returnMaybe, assertPresent, widenDeclared, castValue, castTarget, castReceiver]],
  [[2353, 2561], [castLiteral]],
  [[1345, 2356, 2358, 2359, 2360, 2362, 2363, 2365, 2367, 2447, 2461, 2464, 2488, 2538], [assertPresent, castOperand, castOtherOperand]],
  [[2348, 2349, 2351, 2684, 7009], [castCallee]],
];

const byCode = new Map(table.flatMap(([codes, fixes]) => codes.map((code) => [code, fixes])));
const anywhere = [0, 1, 2, 3].map((n) => casts.castAround(n));

/** The fixes for an error code. If none fits: casts, from the place outwards; but never for names or syntax. */
export function fixesFor(code) {
  const own = byCode.get(code) ?? [];
  return isNeverHidden(code) ? own : [...own, ...anywhere];
}

/**
 * Errors of syntax and of names: a comment that hides one hides code that does not run, or a type that does not exist.
 * TS1192 is neither: `import a from './umd.js'` gives `module.exports`, and a UMD module cannot declare that for TypeScript.
 */
export const isNeverHidden = (code) => (code < 2000 && code !== 1192) || (code >= 8000 && code < 9000) || [2304, 2307, 2552].includes(code);
