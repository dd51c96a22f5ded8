// Logarithm and exponential in plain Swift. The standard library has neither, and the C libraries differ in the last
// digit from system to system: with these a seed gives the same words everywhere.

private let naturalLogarithmOfTwo = 0.693_147_180_559_945_3

/// The natural logarithm of a positive, finite, normal number.
func naturalLogarithm(_ value: Double) -> Double {
    guard value > 0 else { return -.infinity }
    guard value.isFinite else { return value }
    var exponent = Double(value.exponent)
    var significand = value.significand
    if significand > 1.414_213_562_373_095 {
        significand /= 2
        exponent += 1
    }
    // ln m = 2 artanh((m − 1)/(m + 1)), and |(m − 1)/(m + 1)| < 0.172 here.
    let ratio = (significand - 1) / (significand + 1)
    let square = ratio * ratio
    var sum = 0.0
    for divisor in stride(from: 21.0, through: 1.0, by: -2.0) { sum = sum * square + 1 / divisor }
    return 2 * ratio * sum + exponent * naturalLogarithmOfTwo
}

/// The exponential of a number; zero below −700, and no more than that of 700 above.
func exponential(_ value: Double) -> Double {
    guard value > -700 else { return 0 }
    let bounded = min(value, 700)
    let exponent = (bounded / naturalLogarithmOfTwo).rounded()
    let rest = bounded - exponent * naturalLogarithmOfTwo
    var sum = 1.0
    for divisor in stride(from: 14.0, through: 1.0, by: -1.0) { sum = 1 + sum * rest / divisor }
    return Double(sign: .plus, exponent: Int(exponent), significand: sum)
}
